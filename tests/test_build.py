"""The tools of the build: what make and the scripts promise."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CC = os.environ.get("CC", "gcc").split()


def run(*command, **options):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, **options)


def script(folder, name, body):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_help_lists_every_target():
    targets = re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    listed = re.findall(r"^  make (\S+)", run("make", "-s", "-C", ROOT, "help").stdout, re.MULTILINE)
    assert sorted(listed) == sorted(set(targets) - {"FORCE"})


@pytest.mark.parametrize("arguments", [[], ["nothing"], ["--no-apt"]])
def test_setup_refuses_an_unknown_level(arguments):
    done = run(ROOT / "scripts/setup.sh", *arguments)
    assert done.returncode == 2 and "usage:" in done.stderr


def test_lock_files_pin_everything_with_hashes():
    for lock in sorted((ROOT / "requirements").glob("*.txt")):
        for row in re.sub(r"#.*\n|\\\n", "", lock.read_text()).splitlines():
            assert re.match(r"[\w.-]+==[\w.]+ .*--hash=sha256:[0-9a-f]{64}", row), f"{lock.name}: {row}"


def test_embedded_data_is_the_data(tmp_path):
    for name, data in (("all", bytes(range(256)) * 3), ("one", b"x"), ("none", b"")):
        (tmp_path / f"{name}.json").write_bytes(data)
    source = run(ROOT / "scripts/embed.sh", *sorted(tmp_path.glob("*.json")), check=True).stdout
    source += "#include <stdio.h>\nint main(void)\n{\n"
    for name in ("all", "one", "none"):
        symbol = f"ao_prices_{name}_json"
        source += f"    if ({symbol}[{symbol}_len] != 0) return 1;\n    fwrite({symbol}, 1, {symbol}_len, stdout);\n"
    (tmp_path / "data.c").write_text(source + "    return 0;\n}\n")
    flags = ["-std=c17", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    subprocess.run([*CC, *flags, tmp_path / "data.c", "-o", tmp_path / "data"], check=True)
    assert subprocess.run([tmp_path / "data"], check=True, capture_output=True).stdout == bytes(range(256)) * 3 + b"x"


def test_all_c_tests_run_and_are_added_up(tmp_path):
    programs = [
        script(tmp_path, "good", "echo '[  PASSED  ] 3 test(s).' >&2; echo '[  SKIPPED ] 1 test(s), listed below:'"),
        script(tmp_path, "bad", "echo '[  PASSED  ] 1 test(s).'; echo '[  FAILED  ] 2 test(s), listed below:'; exit 2"),
        script(tmp_path, "crashed", "kill -SEGV $$"),
        script(tmp_path, "stuck", "exec sleep 60"),
        script(tmp_path, "last", "echo '[  PASSED  ] 5 test(s).'"),
    ]
    done = run(ROOT / "scripts/run_c_tests.sh", *programs, env={**os.environ, "TEST_TIMEOUT": "1"})
    assert done.returncode == 1
    assert done.stdout.splitlines()[-2:] == ["failed: bad crashed stuck", "cmocka: 9 passed, 4 failed, 1 skipped"]


def test_c_tests_that_pass_pass(tmp_path):
    good = script(tmp_path, "good", "echo '[  PASSED  ] 3 test(s).'")
    done = run(ROOT / "scripts/run_c_tests.sh", good)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "cmocka: 3 passed, 0 failed, 0 skipped"


# A target that prints what it is given, and crashes at an input that holds "!" (by a signal that no sanitizer handles).
TARGET = """
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size && memchr(data, '!', size))
        __builtin_trap();
    printf("%zu:", size);
    for (size_t i = 0; i < size; i++)
        printf("%02x", data[i]);
    printf("\\n");
    return 0;
}
"""


@pytest.fixture(scope="module")
def fuzz_target(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "target.c").write_text(TARGET)
    program = folder / "fuzz_target"
    flags = ["-std=gnu17", "-fsanitize=address,undefined"]
    subprocess.run([*CC, *flags, folder / "target.c", ROOT / "tests/fuzz/driver.c", "-o", program], check=True)
    return program


def test_the_fuzz_driver_tries_what_it_is_given(fuzz_target, tmp_path):
    (tmp_path / "corpus/inner").mkdir(parents=True)
    (tmp_path / "corpus/b").write_bytes(b"bb")
    (tmp_path / "corpus/a").write_bytes(b"")
    (tmp_path / "corpus/inner/c").write_bytes(b"\0\xff")
    (tmp_path / "single").write_bytes(b"s")
    done = run(fuzz_target, tmp_path / "single", tmp_path / "corpus")
    *inputs, summary = done.stdout.splitlines()
    assert inputs == ["0:", "1:73", "0:", "2:6262", "2:00ff"]
    assert summary == "fuzz_target: 5 inputs and 0 changed ones, nothing wrong"


def test_the_fuzz_driver_repeats_itself(fuzz_target, tmp_path):
    (tmp_path / "seed").write_bytes(b'{"key": [1, 2, 3]}')
    first, again, other = (run(fuzz_target, "-runs=200", seed, tmp_path / "seed").stdout for seed in
                           ("-seed=1", "-seed=1", "-seed=2"))  # fmt: skip
    assert first == again != other
    assert len(set(first.splitlines())) > 100


def test_the_fuzz_driver_keeps_the_culprit(fuzz_target, tmp_path):
    (tmp_path / "seed").write_bytes(b"\x20" * 8)  # one bit away from "!"
    done = run(fuzz_target, "-runs=100000", f"-save={tmp_path / 'culprit'}", tmp_path / "seed")
    assert done.returncode != 0
    assert b"!" in (tmp_path / "culprit").read_bytes()


@pytest.mark.parametrize("argument", ["-runs=x", "-unknown", "/nonexistent"])
def test_the_fuzz_driver_refuses_bad_arguments(fuzz_target, argument):
    done = run(fuzz_target, argument)
    assert done.returncode == 2 and argument in done.stderr
