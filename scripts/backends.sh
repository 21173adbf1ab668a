#!/usr/bin/env bash
# Sets up real backends for `make test-backends`, in build/backends: Jaeger through Go's module proxy, Arize Phoenix from
# PyPI in an environment of its own (about 1 GB, ten minutes the first time). What cannot be had is left out, and told.
set -eu
cd "$(dirname "$0")/.."

JAEGER=v1.76.0 # Jaeger 2.13
PHOENIX=20.26.1
place=build/backends
mkdir -p "$place"

if [ ! -x "$place/jaeger-$JAEGER" ]; then
    if command -v go >/dev/null; then
        mkdir -p "$place/jaeger.src"
        (
            cd "$place/jaeger.src"
            [ -f go.mod ] || go mod init backends
            go get -tool "github.com/jaegertracing/jaeger/cmd/jaeger@$JAEGER"
            go build -o "../jaeger-$JAEGER" github.com/jaegertracing/jaeger/cmd/jaeger
        )
    else
        echo "backends: Jaeger is left out: there is no go"
    fi
fi

if [ ! -f "$place/phoenix-$PHOENIX.ok" ]; then
    rm -rf "$place/phoenix"
    if .venv/bin/python -m venv "$place/phoenix" &&
        "$place/phoenix/bin/python" -m pip install -q --disable-pip-version-check "arize-phoenix==$PHOENIX"; then
        touch "$place/phoenix-$PHOENIX.ok"
    else
        echo "backends: Phoenix is left out: it cannot be installed"
        rm -rf "$place/phoenix"
    fi
fi
