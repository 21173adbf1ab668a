#!/usr/bin/env bash
# Installs the libraries that the benchmarks compare with, pinned in requirements/bench.txt, into build/bench/venv: an
# environment of their own, made with .venv's interpreter, that `make clean` removes. A second run changes nothing. The
# benchmarks leave out what is not there.
set -eu
cd "$(dirname "$0")/.."

lock=requirements/bench.txt
venv=build/bench/venv
stamp=$venv/.agentobs-bench

if [ ! -x .venv/bin/python ]; then
    echo "bench: there is no .venv: make setup makes it" >&2
    exit 2
fi
want="$(.venv/bin/python -V) $(sha256sum <"$lock")"
if [ "$(cat "$stamp" 2>/dev/null)" = "$want" ] && "$venv/bin/python" -c ''; then
    exit 0
fi
rm -rf "$venv"
mkdir -p build/bench
.venv/bin/python -m venv "$venv"
# Built packages only: nothing of theirs runs before a benchmark does.
"$venv/bin/python" -m pip install -q --disable-pip-version-check --no-input --only-binary :all: --require-hashes -r "$lock"
printf '%s\n' "$want" >"$stamp"
