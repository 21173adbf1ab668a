#!/usr/bin/env bash
# Resolves requirements/*.in anew and writes the lock files requirements/*.txt: every package with its version and its
# hashes, for every Python from 3.10 on. Each file agrees with the ones before it. Run it after a change to an .in file.
set -eu
cd "$(dirname "$0")/../requirements"

tool=$(mktemp -d)
trap 'rm -rf "$tool"' EXIT
python3 -m venv "$tool"
"$tool/bin/python" -m pip install -q --disable-pip-version-check uv

lock() {
    "$tool/bin/uv" pip compile -q --universal --python-version 3.10 --generate-hashes --no-annotate --no-header \
        --no-emit-index-url --no-emit-find-links "$@"
    sed -i "1i # Made by scripts/lock.sh from ${1}; do not edit." "$3"
}

lock build.in -o build.txt
lock demo.in -o demo.txt -c build.txt
lock template.in -o template.txt -c demo.txt
lock test.in -o test.txt -c demo.txt -c template.txt
lock pythons.in -o pythons.txt -c test.txt
lock bench.in -o bench.txt -c demo.txt
