# shellcheck shell=bash
# What the scripts here share: a folder of their own, segelctl, and how an answer is judged. Source it first; end with `finish`.
# Wants $SEGEL_BUILD, the folder of the programs. CTL_ALWAYS: words that `want` puts before all others.
# shellcheck disable=SC2034 # for who sources it
set -u
TOP=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd)
BUILD=$(realpath "${SEGEL_BUILD:?the folder with segelctl, e.g. build/asan}")
CTL=$BUILD/segelctl
MKPKI=$BUILD/tests/pki/mkpki
CTL_ALWAYS=()
passed=0
failed=0

# needs PROGRAM...
needs() {
	local program
	for program in "$CTL" "$@"; do
		command -v "$program" >/dev/null || { echo "$program is missing"; exit 1; }
	done
}

DIR=$(mktemp -d)
trap 'rm -rf "$DIR"' EXIT
cd "$DIR" || exit 1
chmod 0755 .
unset SUDO_UID

# say ok | say no WHAT: what was printed last is shown with it
say() {
	if [ "$1" = ok ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAILED: $2"
		sed 's/^/    /' out err 2>/dev/null
	fi
}

# want NAME CODE PART ARGS...   runs segelctl; PART must be in what it prints ("" = anything)
want() {
	local name=$1 code=$2 part=$3 got
	shift 3
	"$CTL" "${CTL_ALWAYS[@]}" "$@" >out 2>err </dev/null
	got=$?
	if [ "$got" != "$code" ]; then
		say no "$name: exit $got, wanted $code"
	elif ! cat out err | grep -qaF -- "$part"; then
		say no "$name: '$part' is not in the answer"
	elif grep -qa 'Sanitizer\|runtime error' err; then
		say no "$name: sanitizer"
	else
		say ok
	fi
}

# stands NAME VALUE SQL   what the sqlite3 program reads in the registry
stands() {
	local got
	got=$(sqlite3 -readonly r.db "$3" 2>&1)
	if [ "$got" = "$2" ]; then say ok; else say no "$1: '$got', wanted '$2'"; fi
}

# answers NAME FILTER ARGS...   jq's filter must be true of what segelctl prints with --json
answers() {
	local name=$1 filter=$2
	shift 2
	"$CTL" "${CTL_ALWAYS[@]}" "$@" --json >out 2>err </dev/null
	if jq -e "$filter" out >/dev/null 2>>err; then say ok; else say no "$name: $filter"; fi
}

# holds NAME COMMAND...
holds() {
	local name=$1
	shift
	: >out
	if "$@" >out 2>err </dev/null; then say ok; else say no "$name"; fi
}

finish() {
	echo "$passed passed, $failed failed"
	[ "$failed" = 0 ]
}
