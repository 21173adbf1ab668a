"""A conversation: several prompts, one Claude session, one trace with a turn for each prompt.

    python agents/multi_turn.py "What does agents/stock/stock.py do?" "Write tests for it"
    printf '%s\n' "What does agents/stock/stock.py do?" "Write tests for it" | python agents/multi_turn.py

The client keeps one CLI running, so each prompt knows what came before. `agentobs.agent` is the span of the
whole conversation; each `observe` inside it adds a turn.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import uuid
from collections.abc import AsyncIterator

import agentobs
from agentobs.claude import observe
from claude_agent_sdk import ClaudeSDKClient, ClaudeSDKError, ResultMessage
from claude_options import claude_options, print_text


async def lines_of_stdin() -> AsyncIterator[str]:
    """Each line as it is typed; the event loop is free meanwhile."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        if line.strip():
            yield line.strip()


async def each(prompts: list[str]) -> AsyncIterator[str]:
    for prompt in prompts:
        yield prompt


async def converse(prompts: AsyncIterator[str]) -> int:
    """The number of turns that ended in an error."""
    session = str(uuid.uuid4())
    options = claude_options("conversation.jsonl", session_id=session)
    failed, cost = 0, 0.0
    with agentobs.agent("multi_turn", session=session):
        async with ClaudeSDKClient(options=options) as client:
            async for prompt in prompts:
                print(f"> {prompt}", flush=True)
                await client.query(prompt)
                async for message in observe(client.receive_response(), prompt=prompt):
                    print_text(message)
                    if isinstance(message, ResultMessage):
                        failed += message.is_error
                        cost = message.total_cost_usd or cost  # a running total, not this turn's
    print(f"cost by Claude Code's own count: ${cost:.4f}")
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description="Hold a conversation with an agent.")
    parser.add_argument("prompts", nargs="*", help="what to say, one turn each; default: the lines of stdin")
    prompts = parser.parse_args().prompts
    try:
        failed = asyncio.run(converse(each(prompts) if prompts else lines_of_stdin()))
    except ClaudeSDKError as error:
        print(f"agent: {error}", file=sys.stderr)
        return 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
