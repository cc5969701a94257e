#!/bin/bash
# segelctl tls policy as an officer meets it: verbs of two words, exit codes, texts, JSON, and what stands in the
# registry after, told by the sqlite3 program.
# shellcheck source=tests/milter/ctl/desk.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/desk.sh"
needs sqlite3 jq
CTL_ALWAYS=(--registry r.db)

FINGERPRINT=$(printf 'ab%.0s' {1..32} | sed 's/../&:/g; s/:$//')

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
stands "it stands there" "kota.go.id|kota.go.id|secure|mx.kota.go.id .kota.go.id|SK 9" "SELECT hop, domain, level, matches, decision FROM tls_policy"
want "set anew" 0 "encrypt" tls policy set kota.go.id encrypt
stands "the old one has ended, in the same act" "1" "SELECT count(*) FROM tls_policy a JOIN tls_policy b ON a.end_act = b.act AND a.ended_at = b.from_at"
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
stands "and nothing is kept" "0" "SELECT count(*) FROM tls_policy WHERE hop = 'kering.example'"
want "others in clear" 0 "may" tls policy set biasa.example may
want "subdomains" 0 "encrypt" tls policy set .ketat.example encrypt

# --- list, show ---
want "list" 0 "biasa.example" tls policy list
answers "list as JSON" 'length == 4 and (.[] | select(.next_hop == "kota.go.id") | .level == "encrypt" and .official == "own")' tls policy list
answers "with what has ended" 'length == 5' tls policy list --all
answers "show" '.answer == "OK encrypt protocols=>=TLSv1.2" and .official == "own" and .raised == false' tls policy show KOTA.go.id
answers "show by the rule" '.answer == "OK encrypt protocols=>=TLSv1.2" and (.why | contains("an own domain"))' tls policy show "[kota.go.id]:25"
answers "show through the parent" '.asked == ".ketat.example" and .answer == "OK encrypt protocols=>=TLSv1.2"' tls policy show a.b.ketat.example
answers "fingerprints" '.answer | test("^OK fingerprint match=AB(:AB){31}\\|AB(:AB){31} protocols=>=TLSv1.2$")' tls policy show lain.example
want "show nothing" 1 "NOTFOUND" tls policy show asing.example
want "show what is no next hop" 1 "is no domain, host or address" tls policy show "a b"
want "show what cannot be compared" 4 "cannot be compared" tls policy show $'K\xc3\x96TA.example'
want "it becomes official" 0 "registered" domain add biasa.example --kind shared
answers "and is raised" '.raised and .answer == "OK encrypt protocols=>=TLSv1.2" and .official == "shared"' tls policy show biasa.example
printf 'tls: { minimum = "TLSv1.3"; };\n' >segel.conf
answers "by the settings" '.answer == "OK encrypt protocols=>=TLSv1.3"' -c segel.conf tls policy show kota.go.id
printf 'tlspol: { socket = "%s/nobody.sock"; };\n' "$DIR" >segel.conf
want "test without a daemon" 4 "does segel-tlspol run?" -c segel.conf tls policy test kota.go.id

# --- end ---
want "end" 0 "ended" tls policy end kota.go.id --reason "x"
want "end twice" 1 "has no TLS policy now" tls policy end kota.go.id
answers "the least remains" '.answer == "OK encrypt protocols=>=TLSv1.2"' tls policy show kota.go.id
stands "on record" "tls policy end|kota.go.id|x" "SELECT verb, object, detail FROM act ORDER BY seq DESC LIMIT 1"

# --- a registry of schema 1, made by the program of that time ---
rm -f r.db r.db-wal r.db-shm && sqlite3 r.db "PRAGMA journal_mode=WAL" >/dev/null && sqlite3 r.db <"$TOP/tests/policy/registry/version1.sql"
want "an older schema is refused, with what to do" 4 "schema 1, this program wants 4; run \`segelctl init --migrate\`" tls policy list
want "and not written to" 4 "run \`segelctl init --migrate\`" tls policy set kota.go.id secure
want "migrated" 0 "went from schema 1 to 4" init --migrate
stands "its contents are there, and on record" "kota.go.id|migrate" "SELECT d.name, a.verb FROM domain d, act a WHERE d.id = 1 ORDER BY a.seq DESC LIMIT 1"
stands "it is whole" "ok" "PRAGMA integrity_check"
want "and takes policies" 0 "secure" tls policy set kota.go.id secure
want "twice" 0 "nothing to do" init --migrate

finish
