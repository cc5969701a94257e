#!/bin/bash
# Every fuzz target for FUZZ_SECONDS (default 3), two at a time, from the kept corpus; what it finds
# stays in build/fuzz/found. Ends with "N passed, N failed". New inputs go to a folder that is removed;
# FUZZ_KEEP=1 merges them into the kept corpus.
set -u
cd "$(dirname "$0")/../.." || exit 1
seconds=${FUZZ_SECONDS:-3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 \
	LSAN_OPTIONS=suppressions=tests/fuzz/lsan.supp:print_suppressions=0

if ! make -s -j2 MODE=fuzz fuzzers >"$work/build" 2>&1; then
	cat "$work/build"
	echo "0 passed, 1 failed"
	exit 1
fi

run() {
	target=$1
	corpus=tests/fuzz/corpus/$target
	mkdir -p "$work/$target" "$corpus" build/fuzz/found
	build/fuzz/tests/fuzz/fuzz_"$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=1024 -max_len=8192 \
		-artifact_prefix=build/fuzz/found/"$target"- "$work/$target" "$corpus" >"$work/$target.log" 2>&1
	echo $? >"$work/$target.rc"
}

targets=$(for file in tests/fuzz/fuzz_*.c; do basename "$file" .c | sed 's/^fuzz_//'; done)
for target in $targets; do
	while [ "$(jobs -rp | wc -l)" -ge 2 ]; do
		wait -n
	done
	run "$target" &
done
wait

passed=0 failed=0
for target in $targets; do
	if [ "$(cat "$work/$target.rc")" = 0 ]; then
		passed=$((passed + 1))
		echo "ok    $target: $(grep -E '^(Done|#.*DONE)' "$work/$target.log" | tail -1), $(ls "$work/$target" | wc -l) new inputs"
	else
		failed=$((failed + 1))
		echo "FAIL  $target"
		tail -60 "$work/$target.log"
	fi
	if [ "${FUZZ_KEEP:-0}" = 1 ]; then
		mv "$work/$target" "build/fuzz/new-$target"
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
