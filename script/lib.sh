# Shared by the scripts; source it, it goes to the top of the tree.
# shellcheck shell=bash
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '%s: %s\n' "${0#./}" "$*"; }
die() {
    say "$*" >&2
    exit 1
}

# need PACKAGE...: Debian packages that must be there; installs what is missing. Fails when it cannot.
need() {
    local package missing=() sudo=()

    if ! command -v apt-get >/dev/null; then
        say "no apt-get here; it is up to you that there is: $*"
        return
    fi
    for package; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0

    if [ "$(id -u)" != 0 ]; then
        sudo=(sudo)
        say "needs sudo to install: ${missing[*]}"
    fi
    say "installs ${missing[*]}"
    "${sudo[@]}" apt-get update -qq &&
        "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "${missing[@]}" >/dev/null
}
