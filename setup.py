"""Builds the extension; what the package is stands in pyproject.toml."""

import re
from glob import glob
from pathlib import Path

from setuptools import Extension, setup

# The files of core/ that the sandbox half needs: the writing side. The rest (reading, money, backends) is the host's.
CORE = tuple(
    f"core/{name}.c"
    for name in (
        "baggage base64 braintrust_slug braintrust_value buf context err id json_number json_object json_reader json_units "
        "json_writer key_set mem record_docs record_encode record_frame redact redact_custom redact_match redact_name "
        "trace_context"
    ).split()
)

VERSION = re.search(r'#define AO_VERSION "([^"]+)"', Path("core/base.h").read_text())[1]

setup(
    version=VERSION,
    ext_modules=[
        Extension(
            "agentobs._agentobs",
            sources=[*sorted(glob("csrc/*.c")), *CORE],
            depends=sorted(glob("csrc/*.h") + glob("core/*.h")),
            include_dirs=["."],
            extra_compile_args=["-std=gnu17", "-O2", "-fvisibility=hidden", "-pthread"],
            extra_link_args=["-pthread"],
        )
    ],
    options={"build": {"build_base": "build/py"}},
)
