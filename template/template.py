"""The E2B template: E2B's code interpreter with Claude Code, the Claude Agent SDK, agentobs, and our agents.

`make_template()` is what build.py builds; the Dockerfile beside it says the same for everything that is not E2B
(check.py compares the two). No key is in it: the sandbox gets its credentials when it is started.
"""

from __future__ import annotations

from pathlib import Path

from e2b import Template, wait_for_url
from e2b.template.main import TemplateFinal

ROOT = Path(__file__).resolve().parents[1]
# E2B moves this tag; name a digest (build.py --image) where a build must be repeatable to the last byte.
IMAGE = "e2bdev/code-interpreter:latest"
# The Claude Code that the pinned claude-agent-sdk brings along; the build stops if it is another.
CLAUDE_CODE = "2.1.329"
HOME = "/opt/agentobs"
LOCKS = ("requirements/build.txt", "requirements/demo.txt")
SOURCES = ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "core", "csrc", "python")
# What the host's own builds leave behind would not fit the image's Python. Also in Dockerfile.dockerignore.
IGNORED = ["**/__pycache__", "**/*.so", "**/*.egg-info"]
BUNDLED = "import claude_agent_sdk as sdk, os; print(os.path.join(os.path.dirname(sdk.__file__), '_bundled', 'claude'))"
# E2B keeps ENV for the build alone; a command in the sandbox is run by a login shell, which reads this.
PROFILE = "/etc/profile.d/agentobs.sh"


def make_template(image: str = IMAGE) -> TemplateFinal:
    template = (
        Template(file_context_path=ROOT, file_ignore_patterns=IGNORED)
        .from_image(image)
        .set_user("root")
        .set_workdir(HOME)
        .set_envs({"PYTHONUNBUFFERED": "1", "PIP_NO_CACHE_DIR": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    )
    for lock in LOCKS:
        template = template.copy(lock, f"{HOME}/{lock}")
    template = template.run_cmd("pip install --require-hashes -r " + " -r ".join(LOCKS)).run_cmd(
        [
            f'ln -sf "$(python -c "{BUNDLED}")" /usr/local/bin/claude',
            f"claude --version | grep -F '{CLAUDE_CODE} '",
        ]
    )
    for source in SOURCES:
        template = template.copy(source, f"{HOME}/{source}")
    return (
        template.run_cmd(
            [
                "pip install --no-deps --no-build-isolation .",
                "cd /",
                "python -c 'import agentobs, agentobs.claude'",
            ]
        )
        .copy("agents", "/home/user/agents")
        .run_cmd(f"printf 'export %s=1\\n' PYTHONUNBUFFERED DISABLE_AUTOUPDATER > {PROFILE}")
        .set_user("user")
        .set_workdir("/home/user")
        .set_start_cmd("sudo /root/.jupyter/start-up.sh", wait_for_url("http://localhost:49999/health"))
    )
