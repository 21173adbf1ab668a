"""A one-shot agent: one prompt, as many tool calls as it takes, one answer.

    python agents/agent.py "Compare the orders of October and November in agents/shop"

All that agentobs needs is in one line: `observe` around the SDK's stream of messages. Started by
`agentobs-host run -- python agents/agent.py …` every model request and tool call is recorded; started by hand
the agent prints what it always did.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from agentobs.claude import observe
from claude_agent_sdk import ClaudeSDKError, query
from claude_options import claude_options, print_text


async def run(prompt: str) -> None:
    options = claude_options("demo.jsonl")
    async for message in observe(query(prompt=prompt, options=options), prompt=prompt):
        print_text(message)


def main() -> int:
    parser = argparse.ArgumentParser(description="Give one task to an agent and print what it says.")
    parser.add_argument("prompt", help="the task")
    prompt = parser.parse_args().prompt
    try:
        asyncio.run(run(prompt))
    except ClaudeSDKError as error:
        print(f"agent: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
