#!/bin/sh
# gdb.sh <program>: stops in a fiber; the backtrace shows its calls and ends at the fiber's entry.
set -u
program=$1
command -v gdb >/dev/null || exit 77

output=$(DEBUGINFOD_URLS='' timeout 50 gdb -q -nx -batch -ex 'set confirm off' -ex 'set breakpoint pending on' \
    -ex 'break debug_fiber_innermost' -ex run -ex bt -ex kill "$program" 2>&1)
case $output in
*ptrace:*|*"not permitted"*|*"Could not trace"*) echo "$output"; exit 77 ;;   # a sandbox without ptrace
esac

fail()
{
    echo "$output"
    echo "gdb.sh: $1" >&2
    exit 1
}
frames=$(echo "$output" | grep '^#[0-9]')
for name in debug_fiber_innermost debug_fiber_middle debug_fiber_work fiber_main; do
    echo "$frames" | grep -q "[ ]${name}[ .]" || fail "no frame of $name"     # LTO appends a dot and a tag
done
echo "$output" | grep -qi 'corrupt stack\|Backtrace stopped' && fail 'the stack looks corrupt'
# (A build with ucontext has the C library below the entry, which is not ours to mend.)
below=$(echo "$frames" | sed '1,/ fiber_main[ .]/d')
case $below in
''|*' weft'?*'context_'*|*/libc.so*) ;;
*) fail 'below the entry of the fiber is more' ;;
esac
[ "$(echo "$frames" | wc -l)" -le 8 ] || fail 'too many frames'
