#!/usr/bin/env bash
# A program outside the tree finds the installed library: through pkg-config and through find_package, shared and static,
# after the installed tree has been moved.
# usage: install.sh BUILD-DIR CC
set -euo pipefail
build=$1 cc=$2

for tool in pkg-config cmake; do
    command -v "$tool" >/dev/null || { echo "skipped: no $tool"; exit 77; }
done

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cmake --install "$build" --prefix "$tmp/first" >"$tmp/install.log"
mv "$tmp/first" "$tmp/prefix"
pc=$(find "$tmp/prefix" -name weft.pc)
export PKG_CONFIG_PATH=${pc%/weft.pc} LD_LIBRARY_PATH=${pc%/pkgconfig/weft.pc}

mkdir "$tmp/user"
cd "$tmp/user"
cat >user.c <<'EOF'
#include <errno.h>
#include <stdio.h>
#include <weft.h>
#include <weft/version.h>

static int user(int argc, char **argv)
{
    (void)argc;
    printf("%s: weft %s, %s\n", argv[0], WEFT_VERSION_STRING, weft_strerror(-ECANCELED));
    return 0;
}

WEFT_MAIN(user)
EOF

# shellcheck disable=SC2046 # flags are meant to be split
{
    "$cc" user.c -o pkgconfig-shared $(pkg-config --cflags --libs weft)
    "$cc" user.c -o pkgconfig-static $(pkg-config --cflags weft) "$LD_LIBRARY_PATH/libweft.a" -pthread
}
./pkgconfig-shared
env -u LD_LIBRARY_PATH ./pkgconfig-static

cat >CMakeLists.txt <<'EOF'
cmake_minimum_required(VERSION 3.25)
project(user C)
find_package(weft 0.1 REQUIRED)
foreach(shape weft weft_static)
    add_executable(cmake-${shape} user.c)
    target_link_libraries(cmake-${shape} PRIVATE weft::${shape})
endforeach()
EOF
cmake -S . -B build -G Ninja -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$tmp/prefix" >configure.log
cmake --build build -- --quiet
./build/cmake-weft
env -u LD_LIBRARY_PATH ./build/cmake-weft_static
