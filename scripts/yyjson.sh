#!/usr/bin/env bash
# Fetches libyyjson for a Debian whose own release has none (Debian 12), from the next release:
#
#   scripts/yyjson.sh system       installs the two packages with dpkg (root, or sudo without a password)
#   scripts/yyjson.sh FOLDER       unpacks them there, with FOLDER/pkgconfig/yyjson.pc, and needs no privilege
#
# They need nothing but a C library that Debian 12 has. apt does the fetching, and checks the signatures with Debian's
# own keys, but it works on a private source list, private lists and a private cache: the machine's own stay untouched.
# The mirror is the one that the machine's own sources name.
set -eu
export LC_ALL=C

RELEASE=trixie
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
PACKAGES="libyyjson0 libyyjson-dev"

die() {
    printf 'set-up: yyjson: %s\n' "$*" >&2
    printf 'set-up: yyjson: any yyjson from 0.8 on that pkg-config finds will do\n' >&2
    exit 2
}

# The first archive among the machine's sources that is Debian's main one, whatever the source files look like.
debian_mirror() {
    apt-get indextargets --format '$(REPO_URI)' \
        'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 'Component: main' 2>/dev/null | head -n 1
}

scoped() {
    apt-get -q -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- \
        -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" \
        -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false "$@"
}

fetch() {
    local mirror
    command -v apt-get >/dev/null || die "no libyyjson here, and no apt-get to fetch it with"
    mirror=$(debian_mirror)
    [ -n "$mirror" ] ||
        die "apt has no libyyjson-dev and no Debian mirror (run apt-get update first; on Ubuntu it takes 24.04 or newer)"
    [ -r "$KEYRING" ] || die "$KEYRING is missing (package debian-archive-keyring)"
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/debs"
    [ "$(id -u)" != 0 ] || chown -R _apt "$work/debs"       # apt fetches as that user when root calls it
    printf 'deb [signed-by=%s] %s %s main\n' "$KEYRING" "$mirror" "$RELEASE" >"$work/sources.list"
    scoped update >&2 || die "the mirror in apt's sources does not carry Debian $RELEASE, or its signature did not verify"
    (cd "$work/debs" && scoped download $PACKAGES >&2) || die "could not be fetched"
}

install_system() {
    if [ "$(id -u)" = 0 ]; then
        dpkg -i "$work"/debs/*.deb >&2
    else
        sudo -n dpkg -i "$work"/debs/*.deb >&2
    fi
}

unpack() {
    local deb lib
    rm -rf "$1"
    mkdir -p "$1/pkgconfig"
    for deb in "$work"/debs/*.deb; do
        dpkg -x "$deb" "$1"
    done
    lib=$(cd "$1"/usr/lib/*/ && pwd)
    sed -e "s|^includedir=.*|includedir=$PWD/$1/usr/include|" -e "s|^libdir=.*|libdir=$lib|" \
        -e 's|^Libs: |Libs: -Wl,-rpath,${libdir} |' "$lib/pkgconfig/yyjson.pc" >"$1/pkgconfig/yyjson.pc"
}

[ $# = 1 ] || die "usage: scripts/yyjson.sh system|FOLDER"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
fetch
if [ "$1" = system ]; then
    install_system
else
    unpack "$1"
fi
