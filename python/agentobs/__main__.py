"""`python -m agentobs`: what agentobs would do in this environment.
`python -m agentobs run script.py ...` (or `run -m module ...`): runs a program with a span around it, and the Claude
Agent SDK's query() and receive_response() observed, without changing it.
"""

import sys

USAGE = """usage: python -m agentobs                     say what would be recorded in this environment
       python -m agentobs run SCRIPT [ARG...]     run a script as a traced agent
       python -m agentobs run -m MODULE [ARG...]  run a module as a traced agent
       python -m agentobs schema                  print the JSON Schema of one record
"""


def describe():
    """One fact a line: for somebody who wonders, inside a sandbox, why nothing arrives."""
    import os

    # Before the import, which takes the key away.
    key = os.environ.get("AGENTOBS_STREAM_KEY")
    from agentobs import _agentobs, context, enabled

    here = context()
    source = ("none: a new trace", "TRACEPARENT", "BRAINTRUST_TRACE_CONTEXT")[_agentobs._incoming()[3]]
    print(f"agentobs {_agentobs.__version__}, Python {sys.version.split()[0]}")
    print(f"recording     {'on' if enabled() else 'off'}")
    print(f"stream key    {'present' if key or _agentobs._child_key() else 'absent'}")
    if not enabled():
        print("              (started by agentobs-host, or with AGENTOBS=1, it would be on)")
    print(f"context       {source}")
    print(f"trace         {here.trace_id}")
    print(f"parent span   {here.span_id if here.is_valid else 'none'}")
    print(f"sampled       {'yes' if here.trace_flags & 1 or not here.is_remote else 'no'}")
    print(f"braintrust    {here.braintrust_parent or 'no parent'}")
    print("settings")
    for name, value, default, _meaning in _agentobs._options():
        if name == "AGENTOBS_STREAM_KEY":
            continue
        shown = os.environ.get(name, "") if value is None else value
        mark = "" if value is None or value == default else f"   (default {default})"
        print(f"  {name:40} {shown if shown != '' else 'unset'}{mark}")
    return 0


def _observe_sdk():
    """Wraps the Claude Agent SDK's streams when the program imports it."""
    import importlib.abc
    import importlib.util

    class Finder(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name != "claude_agent_sdk":
                return None
            sys.meta_path.remove(self)
            spec = importlib.util.find_spec(name)
            if spec is None or spec.loader is None:
                return spec
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                _wrap(module)

            spec.loader.exec_module = exec_module
            return spec

    sys.meta_path.insert(0, Finder())


def _wrap(sdk):
    import functools

    from agentobs.claude import observe

    query = sdk.query

    @functools.wraps(query)
    def observed_query(*args, **kwargs):
        prompt = kwargs.get("prompt")
        return observe(query(*args, **kwargs), prompt=prompt if isinstance(prompt, str) else None)

    sdk.query = observed_query
    client = sdk.ClaudeSDKClient
    receive = client.receive_response

    @functools.wraps(receive)
    def observed_receive(self, *args, **kwargs):
        return observe(receive(self, *args, **kwargs))

    client.receive_response = observed_receive


def run(arguments):
    """As `python SCRIPT ARG...` would, with a span of type agent around it."""
    import os
    import runpy

    import agentobs

    module = arguments[0] == "-m"
    if module:
        arguments = arguments[1:]
    if not arguments:
        sys.stderr.write(USAGE)
        return 2
    target = arguments[0]
    sys.argv[:] = arguments
    _observe_sdk()
    with agentobs.agent(os.path.basename(target)):
        if module:
            sys.path.insert(0, os.getcwd())
            runpy.run_module(target, run_name="__main__", alter_sys=True)
        else:
            sys.path[0] = os.path.dirname(os.path.abspath(target))
            runpy.run_path(target, run_name="__main__")
    return 0


def main(arguments):
    if not arguments:
        return describe()
    if arguments[0] == "run" and len(arguments) > 1:
        return run(arguments[1:])
    if arguments == ["schema"]:
        from agentobs import _agentobs

        print(_agentobs._schema_json())
        return 0
    known = arguments[0] in ("-h", "--help", "help")
    (sys.stdout if known else sys.stderr).write(USAGE)
    return 0 if known else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
