#!/usr/bin/env bash
# Runs each test program given, all of them whatever happens, and prints what they print. The last line adds up their
# tests; a program that dies or exceeds $TEST_TIMEOUT seconds counts as one more failed test.
#
# usage: scripts/run_c_tests.sh PROGRAM...
set -eu

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# The sum of what cmocka says in its lines "[  WORD  ] N test(s)".
count() {
    sed -n "s/^\[ *$1 *\] *\([0-9][0-9]*\) test(s).*/\1/p" "$log" | awk '{ n += $1 } END { print n + 0 }'
}

passed=0 failed=0 skipped=0 bad=
for program in "$@"; do
    printf '== %s\n' "${program##*/}"
    status=0
    timeout -k 5 "${TEST_TIMEOUT:-120}" "$program" >"$log" 2>&1 </dev/null || status=$?
    cat "$log"
    program_failed=$(count FAILED)
    if [ "$status" != 0 ]; then
        bad="$bad ${program##*/}"
        [ "$program_failed" != 0 ] || program_failed=1
        printf '== %s: exit status %d\n' "${program##*/}" "$status"
    fi
    passed=$((passed + $(count PASSED)))
    skipped=$((skipped + $(count SKIPPED)))
    failed=$((failed + program_failed))
done
[ -z "$bad" ] || printf 'failed:%s\n' "$bad"
printf 'cmocka: %d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ -z "$bad" ]
