#!/bin/sh
# perf.sh <program>: perf's frame pointer unwinding shows a fiber's calls up to the fiber's entry.
set -u
program=$1
command -v perf >/dev/null || exit 77
data=$(mktemp) || exit 77
trap 'rm -f "$data" "$data.txt"' EXIT

# Whatever keeps perf from sampling here (no PMU, no right) is no fault of ours.
perf record -q -e cpu-clock -F 999 -g -o "$data" "$program" 300000000 >"$data.txt" 2>&1 || exit 77
perf script -i "$data" -F comm,ip,sym >"$data.txt" 2>/dev/null || exit 77
samples=$(grep -c 'debug_fiber_innermost' "$data.txt")
[ "$samples" -ge 5 ] || exit 77

# Stacks are paragraphs, innermost first. (A leaf has no frame of its own, which hides its caller.)
good=$(awk 'BEGIN { RS = ""; FS = "\n" }
    /debug_fiber_innermost/ {
        text = $0
        gsub(/\n/, " ", text)
        if (text ~ /debug_fiber_innermost.*debug_fiber_work.*fiber_main/)
            good++
    }
    END { print good + 0 }' "$data.txt")
if [ "$good" -lt $((samples * 9 / 10)) ]; then
    head -n 40 "$data.txt"
    echo "perf.sh: only $good of $samples samples show the fiber's calls" >&2
    exit 1
fi
