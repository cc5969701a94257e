#!/bin/bash
# segelctl tls policy as an officer meets it: verbs of two words, exit codes, texts, JSON, and what stands in the
# registry after, told by the sqlite3 program. Wants $SEGEL_BUILD, the folder of the programs.
set -u
CTL=$(realpath "${SEGEL_BUILD:?the folder with segelctl, e.g. build/asan}")/segelctl
for tool in sqlite3 jq; do
	command -v $tool >/dev/null || { echo "$tool is missing"; exit 1; }
done
[ -x "$CTL" ] || { echo "$CTL is missing"; exit 1; }
TOP=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd)
DIR=$(mktemp -d)
trap 'rm -rf "$DIR"' EXIT
cd "$DIR" || exit 1
unset SUDO_UID
passed=0
failed=0
FINGERPRINT=$(printf 'ab%.0s' {1..32} | sed 's/../&:/g; s/:$//')

say() {
	if [ "$1" = ok ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED: $2"
		sed 's/^/    /' out err
	fi
}

# want NAME CODE PART ARGS...   runs segelctl; PART must be in what it prints
want() {
	local name=$1 code=$2 part=$3 got
	shift 3
	"$CTL" --registry r.db "$@" >out 2>err </dev/null
	got=$?
	if [ "$got" = "$code" ] && cat out err | grep -qF -- "$part" && ! grep -q 'Sanitizer\|runtime error' err; then
		say ok
	else
		say no "$name (exit $got)"
	fi
}

# is NAME VALUE SQL   what the sqlite3 program reads
is() {
	local got
	got=$(sqlite3 r.db "$3" 2>err)
	echo "$got" >out
	[ "$got" = "$2" ] && say ok || say no "$1"
}

# json NAME FILTER ARGS...
json() {
	local name=$1 filter=$2
	shift 2
	"$CTL" --registry r.db "$@" --json >out 2>err </dev/null
	jq -e "$filter" out >/dev/null 2>&1 && say ok || say no "$name"
}

# --- verbs of two words ---
want "the first word alone" 2 "'tls policy' wants a verb" tls policy
want "a first word that is none" 2 "nearest is 'tls policy " tls polcy
want "a second word that is none" 2 "'tls' knows no 'policy lst'; nearest is 'tls policy list'" tls policy lst
want "a second word without its first" 2 "knows no 'list'" tls list
want "both in one" 0 "" tls "policy set" --help
want "an option between them" 0 "Usage: segelctl tls policy set NEXTHOP LEVEL" tls policy --help set
want "help" 0 "--fingerprint HEX..." tls policy set --help
want "help of the noun" 0 "segelctl tls policy show NEXTHOP" tls --help
want "a verb of one word beside them" 2 "LOGFILE..." tls report
want "too few words" 2 "LEVEL is missing" tls policy set kota.go.id
want "too many words" 2 "one word too many" tls policy set kota.go.id secure now

# --- set ---
want "a registry" 0 "made" init --name Ani --appointment "SK 1"
want "an own domain" 0 "registered" domain add kota.go.id --kind own
want "set" 0 "mail to next hop Kota.go.id. by level secure" tls policy set Kota.go.id. secure --match MX.kota.go.id .kota.go.id --decision "SK 9"
is "it stands there" "kota.go.id|kota.go.id|secure|mx.kota.go.id .kota.go.id|SK 9" "SELECT hop, domain, level, matches, decision FROM tls_policy"
want "set anew" 0 "encrypt" tls policy set kota.go.id encrypt
is "the old one has ended, in the same act" "1" "SELECT count(*) FROM tls_policy a JOIN tls_policy b ON a.end_act = b.act AND a.ended_at = b.from_at"
want "in clear" 3 "is a registered, official domain" tls policy set kota.go.id may
want "dane" 3 "wherever there are no TLSA records" tls policy set kota.go.id:25 dane
want "no level" 2 "no level 'none'" tls policy set kota.go.id none
want "a mistyped level" 2 "no level 'Secure'; wanted may, dane" tls policy set kota.go.id Secure
want "a match for fingerprint" 2 "takes no --match" tls policy set lain.example fingerprint --match mx.lain.example
want "a fingerprint for secure" 2 "takes no --fingerprint" tls policy set lain.example secure --fingerprint "$FINGERPRINT"
want "an attribute in a name" 3 "wanted hostname" tls policy set lain.example secure --match "mx.lain.example protocols=SSLv2"
want "no fingerprint" 3 "at least one fingerprint" tls policy set lain.example fingerprint
want "a short fingerprint" 3 "32 bytes" tls policy set lain.example fingerprint --fingerprint "${FINGERPRINT%:*}"
want "a fingerprint" 0 "fingerprint" tls policy set lain.example fingerprint --fingerprint "$FINGERPRINT" "$FINGERPRINT"
want "no next hop" 3 "is no next hop" tls policy set "kota go.id" encrypt
want "a control character is shown, not sent" 3 '\x1B' tls policy set $'kota\e.go.id' encrypt
want "dry run" 0 "dry run" tls policy set kering.example may --dry-run
is "and nothing is kept" "0" "SELECT count(*) FROM tls_policy WHERE hop = 'kering.example'"
want "others in clear" 0 "may" tls policy set biasa.example may
want "subdomains" 0 "encrypt" tls policy set .ketat.example encrypt

# --- list, show ---
want "list" 0 "biasa.example" tls policy list
json "list as JSON" 'length == 4 and (.[] | select(.next_hop == "kota.go.id") | .level == "encrypt" and .official == "own")' tls policy list
json "with what has ended" 'length == 5' tls policy list --all
json "show" '.answer == "OK encrypt protocols=>=TLSv1.2" and .official == "own" and .raised == false' tls policy show KOTA.go.id
json "show by the rule" '.answer == "OK encrypt protocols=>=TLSv1.2" and (.why | contains("an own domain"))' tls policy show "[kota.go.id]:25"
json "show through the parent" '.asked == ".ketat.example" and .answer == "OK encrypt protocols=>=TLSv1.2"' tls policy show a.b.ketat.example
json "fingerprints" '.answer | test("^OK fingerprint match=AB(:AB){31}\\|AB(:AB){31} protocols=>=TLSv1.2$")' tls policy show lain.example
want "show nothing" 1 "NOTFOUND" tls policy show asing.example
want "show what is no next hop" 1 "is no domain, host or address" tls policy show "a b"
want "show what cannot be compared" 4 "cannot be compared" tls policy show $'K\xc3\x96TA.example'
want "it becomes official" 0 "registered" domain add biasa.example --kind shared
json "and is raised" '.raised and .answer == "OK encrypt protocols=>=TLSv1.2" and .official == "shared"' tls policy show biasa.example
printf 'tls: { minimum = "TLSv1.3"; };\n' >segel.conf
json "by the settings" '.answer == "OK encrypt protocols=>=TLSv1.3"' -c segel.conf tls policy show kota.go.id
printf 'tlspol: { socket = "%s/nobody.sock"; };\n' "$DIR" >segel.conf
want "test without a daemon" 4 "does segel-tlspol run?" -c segel.conf tls policy test kota.go.id

# --- end ---
want "end" 0 "ended" tls policy end kota.go.id --reason "x"
want "end twice" 1 "has no TLS policy now" tls policy end kota.go.id
json "the least remains" '.answer == "OK encrypt protocols=>=TLSv1.2"' tls policy show kota.go.id
is "on record" "tls policy end|kota.go.id|x" "SELECT verb, object, detail FROM act ORDER BY seq DESC LIMIT 1"

# --- a registry of schema 1, made by the program of that time ---
rm -f r.db r.db-wal r.db-shm && sqlite3 r.db "PRAGMA journal_mode=WAL" >/dev/null && sqlite3 r.db <"$TOP/tests/policy/registry/version1.sql"
want "an older schema is refused, with what to do" 4 "schema 1, this program wants 4; run \`segelctl init --migrate\`" tls policy list
want "and not written to" 4 "run \`segelctl init --migrate\`" tls policy set kota.go.id secure
want "migrated" 0 "went from schema 1 to 4" init --migrate
is "its contents are there, and on record" "kota.go.id|migrate" "SELECT d.name, a.verb FROM domain d, act a WHERE d.id = 1 ORDER BY a.seq DESC LIMIT 1"
is "it is whole" "ok" "PRAGMA integrity_check"
want "and takes policies" 0 "secure" tls policy set kota.go.id secure
want "twice" 0 "nothing to do" init --migrate

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
