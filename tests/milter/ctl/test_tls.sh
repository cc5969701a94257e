#!/bin/bash
# segelctl tls report as it is called: files, standard input, what cannot be read, exit codes, no control
# characters on the terminal. Wants $SEGEL_BUILD, the folder of the programs.
set -u
CTL=$(realpath "${SEGEL_BUILD:?the folder with segelctl, e.g. build/asan}")/segelctl
command -v jq >/dev/null || { echo "jq is missing"; exit 1; }
[ -x "$CTL" ] || { echo "$CTL is missing"; exit 1; }
DIR=$(mktemp -d)
trap 'rm -rf "$DIR"' EXIT
cd "$DIR" || exit 1
passed=0
failed=0

# want NAME CODE PART ARGS...   segelctl tls report ARGS; PART must be in what it prints
want() {
	local name=$1 code=$2 part=$3 got
	shift 3
	"$CTL" tls report "$@" >out 2>err
	got=$?
	if [ "$got" = "$code" ] && cat out err | grep -qaF -- "$part" && ! grep -qa 'Sanitizer\|runtime error' err; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED: $name (exit $got)"
		sed 's/^/    /' out err
	fi
}

# json NAME FILTER FILE...
json() {
	local name=$1 filter=$2
	shift 2
	"$CTL" tls report --json "$@" >out 2>err
	if jq -e "$filter" out >/dev/null; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED: $name"
		sed 's/^/    /' out err
	fi
}

session() {
	echo "2026-11-21T04:00:10Z mail postfix/smtp[7]: Trusted TLS connection established to mx.a.example[192.0.2.1]:25: TLSv1.3 with cipher A (256/256 bits)"
}

delivery() {
	echo "2026-11-21T04:00:10Z mail postfix/smtp[7]: AAAAA1: to=<x@$1>, relay=mx.a.example[192.0.2.1]:25, delay=1, delays=0/0/0/0, dsn=$2, status=$3"
}

{ session; delivery a.example 2.0.0 "sent (250 ok)"; } >good.log
want "a log" 0 "100.0%" good.log
json "its figures" '.total.delivered == 1 and .total.tls_percent == 100 and .sent[0].domain == "a.example" and .lines.read == 2' good.log
want "nothing named" 2 "LOGFILE..." --json
want "a log that is not there" 4 "nihil.log" nihil.log
want "a folder" 4 "cannot be read" .
want "one of two is not there: no report" 4 "nihil.log" good.log nihil.log
grep -q a.example out && { echo "FAILED: half a report"; failed=$((failed + 1)); }
"$CTL" tls report - <good.log >out 2>err && grep -q a.example out && passed=$((passed + 1)) || { echo "FAILED: standard input"; failed=$((failed + 1)); }
json "two logs in their order" '.total.tls == 1 and .lines.read == 2' <(session) <(delivery a.example 2.0.0 "sent (250 ok)")
json "many logs" '.total.delivered == 9' good.log good.log good.log good.log good.log good.log good.log good.log good.log
gzip -k good.log
want "a packed log" 4 "zcat" good.log.gz
head -c 3000 /dev/urandom | base64 >noise.log
want "no log" 4 "none of" noise.log
: >empty.log
want "an empty log" 0 "0 read" empty.log
want "a domain without mail" 1 "" --domain b.example good.log
want "a time that is none" 2 "is no time" --from gestern good.log
json "before it" '.total.delivered == 0 and .lines.outside == 1' --to 2026-11-21T04:00Z good.log
json "its first second" '.total.delivered == 1' --from 2026-11-21T04:00:10Z good.log

# length
{ cat good.log; printf 'x%.0s' {1..20000}; echo; cat good.log; } >long.log
json "a line that is too long" '.lines.too_long == 1 and .total.delivered == 2 and .lines.unreadable == 0' long.log
{ cat good.log; head -c 400000 /dev/zero | tr '\0' x; echo; cat good.log; } >longer.log
json "one longer than a block" '.lines.too_long == 1 and .total.delivered == 2' longer.log
{ session; delivery a.example 2.0.0 "sent (250 $(printf 'x%.0s' {1..16000}))"; } >edge.log
json "one just short of it" '.lines.too_long == 0 and .total.tls == 1' edge.log
printf '%s\n%s' "$(session)" "$(delivery a.example 2.0.0 'sent (250 ok)')" >endless.log
json "no line end at the end" '.total.tls == 1' endless.log
{ printf 'a\0b\n'; cat good.log; } >nul.log
json "a NUL" '.lines.unreadable == 1 and .total.tls == 1' nul.log

# what others chose to write
delivery a.example 4.7.4 "deferred (TLS is required, but was not offered by host $(printf '\033[2J\302\233\342\200\256')x)" >evil.log
delivery "$(printf 'a\033[2J.example')" 2.0.0 "sent (ok)" >>evil.log
want "control characters" 0 'x1B[2J' evil.log
if LC_ALL=C grep -qa $'[\001-\011\013-\037\177]' out || grep -qa $'\302\233\|\342\200\256' out; then
	echo "FAILED: control characters on the terminal"
	failed=$((failed + 1))
else
	passed=$((passed + 1))
fi
json "control characters, JSON" '.total.deferred_tls == 1' evil.log
LC_ALL=C grep -qa $'[\001-\011\013-\037\177-\377]' out && { echo "FAILED: control characters in JSON"; failed=$((failed + 1)); }
{
	delivery a.example 2.0.0 "sent (250 ok) to=<x@forged.example>, relay=mx.f.example[192.0.2.9]:25, delay=1, delays=0/0/0/0, dsn=2.0.0, status=sent (250 ok)"
	delivery a.example 5.0.0 "bounced (host mx.a.example[192.0.2.1] said: 550 status=sent (250 ok))"
	echo "2026-11-21T04:00:10Z mail postfix/smtp[7]: AAAAA1: host x[192.0.2.1] said: 450 $(session)"
} >forged.log
json "forged pieces" '(.sent | length) == 1 and .total.delivered == 1 and .total.refused == 1 and .total.tls == 0' forged.log

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
