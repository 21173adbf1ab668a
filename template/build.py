"""Builds the template on E2B: `E2B_API_KEY=e2b_… python template/build.py`. The key stays on this machine."""

from __future__ import annotations

import argparse
import os
import re
import sys


def refuse(sentence: str) -> int:
    print(f"template: {sentence}", file=sys.stderr)
    return 2


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the sandbox template on E2B.")
    parser.add_argument("--name", default="agentobs", help="name of the template, or name:tag; default: agentobs")
    parser.add_argument("--cpus", type=int, default=2, help="vCPUs of a sandbox; default: 2")
    parser.add_argument("--memory", type=int, default=2048, help="MiB of memory of a sandbox; default: 2048")
    parser.add_argument("--image", help="base image; default: the one that template.py names")
    parser.add_argument("--no-cache", action="store_true", help="run every step anew")
    options = parser.parse_args()
    key = os.environ.get("E2B_API_KEY", "").strip()
    if not key:
        return refuse("E2B_API_KEY is not set: make a key in the E2B dashboard and export it, then run this again")
    if not re.fullmatch(r"e2b_[0-9a-f]+", key):
        return refuse("E2B_API_KEY does not look like a key of E2B (e2b_ and hexadecimal digits)")
    try:
        from e2b import Template, default_build_logger
    except ImportError:
        return refuse("the e2b package is not installed: pip install -r requirements/template.txt")
    from template import IMAGE, make_template

    try:
        built = Template.build(
            make_template(options.image or IMAGE),
            options.name,
            cpu_count=options.cpus,
            memory_mb=options.memory,
            skip_cache=options.no_cache,
            on_build_logs=default_build_logger(),
        )
    except Exception as error:  # noqa: BLE001 - of E2B, of its HTTP client, of the file system: one sentence will do
        print(f"template: not built: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(f"built {options.name}: template {built.template_id}, build {built.build_id}")
    print(f'next: Sandbox.create("{options.name}", envs=…) and run: python agents/agent.py "…"')
    return 0


if __name__ == "__main__":
    sys.exit(main())
