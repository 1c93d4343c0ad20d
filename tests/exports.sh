#!/usr/bin/env bash
# What libweft.so exports is what the public headers name: nothing else, and nothing that is not called weft_*.
# usage: exports.sh NM LIBRARY INCLUDE-DIR
set -euo pipefail
nm=$1 library=$2 include=$3

exported=$("$nm" -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort -u)
named=$(grep -rhoE --include='*.h' '\bweft_[a-z0-9_]+' "$include" | sort -u)
stray=$(comm -23 <(printf '%s\n' "$exported") <(printf '%s\n' "$named"))

if [ -n "$stray" ]; then
    printf '%s exports what no public header names:\n%s\n' "$library" "$stray"
    exit 1
fi
printf '%s symbols, all named in public headers\n' "$(wc -w <<<"$exported")"
