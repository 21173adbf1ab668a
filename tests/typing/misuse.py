"""Calls that a type checker must refuse, one a line that says so; mypy --strict must find no others and miss none."""

import agentobs

agentobs.start_span()  # refused
agentobs.start_span("a", tags="not a list of them", metrics=3)  # refused
agentobs.tool(5)  # refused
agentobs.llm(model=4)  # refused
agentobs.flush("soon")  # refused
agentobs.child_env(1)  # refused
agentobs.current_span().end("now")  # refused
agentobs.current_span().usage(input_tokens="many")  # refused
agentobs.current_span().trace_id = "x"  # refused
agentobs.nothing_of_the_kind  # refused
agentobs.start_span("fine", anything={"goes": [1]}).end()
