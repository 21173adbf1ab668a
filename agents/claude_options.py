"""What both agents share: with Claude or with a recording, what the agent may do, and how it prints."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from claude_agent_sdk import AssistantMessage, ClaudeAgentOptions, Message, TextBlock

REPLAY = Path(__file__).resolve().parent / "replay"
CREDENTIALS = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
)


def in_sandbox() -> bool:
    return os.environ.get("E2B_SANDBOX") == "true" or os.environ.get("IS_SANDBOX") == "1"


def claude_options(recording: str, **more: Any) -> ClaudeAgentOptions:
    """Options for the SDK's own CLI, or, without credentials, for the replay of `recording`.

    Partial messages carry the time of the first token and the final token counts; without them both are
    unknown. Only a sandbox lets the agent use every tool unasked; elsewhere it may read and nothing else.
    """
    options = ClaudeAgentOptions(include_partial_messages=True, **more)
    if in_sandbox():
        options.permission_mode = "bypassPermissions"
    else:
        options.allowed_tools = ["Read", "Glob", "Grep"]
    if not any(os.environ.get(name) for name in CREDENTIALS):
        print(f"no Claude credentials: replaying {recording}, whatever the prompt says", file=sys.stderr)
        options.cli_path = REPLAY / "claude"
        options.env = {"AGENTOBS_REPLAY_FILE": str(REPLAY / recording)}
    return options


def print_text(message: Message) -> None:
    """Prints what the agent itself says; what its sub-agents say stays between them."""
    if isinstance(message, AssistantMessage) and message.parent_tool_use_id is None:
        for block in message.content:
            if isinstance(block, TextBlock):
                print(block.text, flush=True)
