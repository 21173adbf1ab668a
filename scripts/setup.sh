#!/usr/bin/env bash
# Prepares the machine and this checkout, as far as LEVEL needs it:
#
#   scripts/setup.sh [--no-apt] LEVEL
#     host    compiler and libraries of the host program
#     build   host, and .venv with what builds the extension
#     demo    build, and the packages that the demo agent imports
#     test    demo, and what the tests and the check of the template need
#
# Only what is missing is installed, and a second run changes nothing. System packages go in through apt when that is
# allowed (root, or sudo without a password); otherwise the exact command is printed and the exit code is 2, and it is
# the same with --no-apt. Python packages come from the lock files in requirements/. Environment: CC, and PYTHON for
# the interpreter that .venv is made with.
set -eu
cd "$(dirname "$0")/.."
export LC_ALL=C
export PKG_CONFIG_PATH="$PWD/build/deps/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"

OLDEST_PYTHON="3, 10"
NO_PYTHON="no Python serves: one from 3.10 on with venv and its headers is needed (PYTHON=${PYTHON-...} names it)"
LOG=build/setup/log
CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt

say() { printf 'set-up: %s\n' "$*" >&2; }
die() { say "$*"; exit 2; }

# ---------------------------------------------------------------- Python

# Prints the path of the given Python if it serves: it is new enough, can make a virtual environment, and has the headers
# that the extension needs. (The path may differ from the one given: a wrapper may stand in front.)
python_serves() {
    "$1" - 2>/dev/null <<EOF
import ensurepip, os, sys, sysconfig, venv
header = os.path.join(sysconfig.get_paths()["include"], "Python.h")
if sys.version_info < ($OLDEST_PYTHON) or not os.path.exists(header):
    sys.exit(1)
print(sys.executable)
EOF
}

# Prints the path of the first Python that serves. $PYTHON, if set, is the only candidate.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 /usr/bin/python3 python3.14 python3.13 python3.12 python3.11 python3.10}; do
        ! python_serves "$candidate" || return 0
    done
    return 1
}

# ---------------------------------------------------------------- system packages

missing=()          # packages that apt is to install
need_yyjson=        # set when pkg-config does not find yyjson

# want PACKAGES COMMAND...: PACKAGES are missing unless COMMAND succeeds. What counts is that the thing is there, not
# which package it came from.
want() {
    local packages=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=($packages)
}

can_compile() {
    echo '#include <stdio.h>' | ${CC:-gcc} -E -x c -
}

find_missing() {
    missing=()
    want "gcc libc6-dev" can_compile
    want make command -v make
    want pkg-config command -v pkg-config
    want ca-certificates test -s "$CA_BUNDLE"
    want libcurl4-openssl-dev pkg-config --exists libcurl
    want libssl-dev pkg-config --exists openssl
    want libsqlite3-dev pkg-config --exists sqlite3
    want libmicrohttpd-dev pkg-config --exists libmicrohttpd
    want libdeflate-dev pkg-config --exists libdeflate
    want libzstd-dev pkg-config --exists libzstd
    need_yyjson=
    pkg-config --exists yyjson 2>/dev/null || need_yyjson=1
    case $level in
        build | demo | test)
            want "python3 python3-dev python3-venv" find_python
            [ -z "${PYTHON-}" ] || find_python >/dev/null || die "$NO_PYTHON"
            ;;
    esac
    case $level in
        test) want libcmocka-dev pkg-config --exists cmocka ;;
    esac
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

may_install() {
    [ -z "$no_apt" ] && command -v apt-get >/dev/null && as_root true 2>/dev/null
}

# Runs a command that says much: into the log, of which the end is shown if it fails.
logged() {
    "$@" >>"$LOG" 2>&1 && return
    tail -n 20 "$LOG" >&2
    say "failed: $* (all of it: $LOG)"
    return 1
}

# Every apt-get that changes something waits for another one to finish and asks no questions.
apt_get() {
    logged as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 "$@"
}

apt_offers() {
    apt-cache policy "$1" 2>/dev/null | grep -q '^  Candidate: [^(]'
}

INSTALL="install --no-install-recommends"

# The package lists are fetched only if they are absent or turn out to be too old.
install_packages() {
    local package updated=
    for package in libc6-dev "$@"; do
        if [ -z "$updated" ] && ! apt_offers "$package"; then
            apt_get update
            updated=1
        fi
    done
    [ $# -gt 0 ] || return 0
    say "installing $*"
    if ! apt_get $INSTALL "$@"; then
        [ -z "$updated" ] || return 1
        say "once more, with new package lists"
        apt_get update
        apt_get $INSTALL "$@"
    fi
}

# From apt where it has one (a root is needed for that), else from the next Debian.
install_yyjson() {
    if ! may_install; then
        ! apt_offers libyyjson-dev || give_up
        say "unpacking yyjson of the next Debian in build/deps"
        logged scripts/yyjson.sh build/deps || exit 2
        return
    fi
    install_packages
    if apt_offers libyyjson-dev; then
        install_packages libyyjson-dev
    else
        say "installing yyjson of the next Debian (this one has none)"
        logged scripts/yyjson.sh system || exit 2
    fi
}

# Says what is missing and how to get it, and ends.
give_up() {
    local root=
    [ "$(id -u)" = 0 ] || root="sudo "
    if [ -n "$need_yyjson" ] && apt_offers libyyjson-dev; then
        missing+=(libyyjson-dev)
        need_yyjson=
    fi
    say "missing: ${missing[*]}${need_yyjson:+${missing:+ }yyjson}"
    if ! command -v apt-get >/dev/null; then
        die "there is no apt-get here: install what those Debian packages hold, so that pkg-config finds it"
    fi
    if [ ${#missing[@]} -gt 0 ]; then
        say "install it with:"
        printf '\n    %sapt-get update && %sapt-get %s -y %s\n\n' "$root" "$root" "$INSTALL" "${missing[*]}" >&2
    fi
    if [ -n "$no_apt" ]; then
        die "make setup ${missing:+does that where it may (as root, or with sudo that asks no password)}${need_yyjson:+${missing:+, and }fetches yyjson}"
    fi
    die "then run make again"
}

setup_system() {
    find_missing
    if [ ${#missing[@]} -gt 0 ]; then
        may_install || give_up
        install_packages "${missing[@]}" || die "apt-get could not install: ${missing[*]}"
        find_missing
        [ "${missing[0]-}" != python3 ] || die "$NO_PYTHON"
        [ ${#missing[@]} = 0 ] || die "installed, but still of no use: ${missing[*]}"
    fi
    if [ -n "$need_yyjson" ]; then
        [ -z "$no_apt" ] || give_up
        install_yyjson
        pkg-config --exists yyjson || die "yyjson is installed, but pkg-config does not find it"
    fi
}

# ---------------------------------------------------------------- .venv

# The lock files of a level are its own and those of the levels before it. The host program needs none.
lock_files() {
    case $1 in
        build) echo requirements/build.txt ;;
        demo) echo requirements/build.txt requirements/demo.txt ;;
        test) echo requirements/build.txt requirements/demo.txt requirements/template.txt requirements/test.txt ;;
    esac
}

make_venv() {
    local first=${PYTHON:-python3} python
    python=$(find_python) || die "$NO_PYTHON"
    python_serves "$first" >/dev/null ||
        say "$(command -v "$first" || echo "$first") is older than 3.10, or lacks venv or its headers: another one is taken"
    say "making .venv with $python ($("$python" -V 2>&1))"
    rm -rf .venv
    "$python" -m venv .venv
}

# .venv/.agentobs-LEVEL holds the checksums of the lock files that were installed.
setup_venv() {
    local locks done_level
    locks=$(lock_files "$level")
    # An environment is tied to its folder and its interpreter: in another folder, or without that, it is made anew.
    if ! python_serves .venv/bin/python >/dev/null || [ "$(cat .venv/.agentobs-root 2>/dev/null)" != "$PWD" ]; then
        make_venv
        printf '%s\n' "$PWD" >.venv/.agentobs-root
    fi
    if [ "$(cat ".venv/.agentobs-$level" 2>/dev/null)" = "$(sha256sum $locks)" ]; then
        return 0
    fi
    say "Python packages into .venv, from ${locks// /, }"
    [ "$level" = build ] || say "(the Claude Agent SDK brings the Claude Code CLI along: the first time it takes a while)"
    .venv/bin/python -m pip install -q --disable-pip-version-check --no-input --require-hashes -r ${locks// / -r } ||
        die "pip could not install the Python packages (above)"
    for done_level in $levels; do
        [ "$done_level" = host ] || sha256sum $(lock_files "$done_level") >".venv/.agentobs-$done_level"
    done
}

# ---------------------------------------------------------------- main

no_apt=
if [ "${1-}" = --no-apt ]; then
    no_apt=1
    shift
fi
level=${1-}
case $level in
    host) levels="host" ;;
    build) levels="host build" ;;
    demo) levels="host build demo" ;;
    test) levels="host build demo test" ;;
    *) die "usage: scripts/setup.sh [--no-apt] host|build|demo|test" ;;
esac

mkdir -p build/setup
exec 9>build/setup/lock
flock 9
: >"$LOG"
setup_system
[ "$level" = host ] || setup_venv
for done_level in $levels; do
    touch "build/setup/$done_level.ok"
done
