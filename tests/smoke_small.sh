#!/bin/bash
# examples/hello and examples/ticker: what they print, in any order that they may. Usage: smoke_small.sh EXAMPLES_DIR
set -eu

[ "$("$1/hello")" = "the greeting is on its way
hello, world
world has been greeted" ]
"$1/hello" weft | grep -qx 'hello, weft'

ticks=$("$1/ticker")
for who in 'fiber A' 'fiber B' 'stackless A' 'stackless B'; do
    [ "$(grep "^$who" <<<"$ticks")" = "$who: tick 1
$who: tick 2
$who: tick 3" ]
done
[ "$(wc -l <<<"$ticks")" = 12 ]
