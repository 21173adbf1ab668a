"""`python -m agentobs`: what agentobs would do in this environment.
`python -m agentobs run script.py ...`: runs a program with a span around it, and the Claude Agent SDK's query() and
receive_response() observed, without changing it.
"""

import os
import sys

USAGE = """usage: python -m agentobs                     say what would be recorded in this environment
       python -m agentobs run SCRIPT [ARG...]     run a script as a traced agent
       python -m agentobs run -m MODULE [ARG...]  run a module as a traced agent
       python -m agentobs run -c CODE [ARG...]    run a piece of code, or with - what stdin holds
       python -m agentobs schema                  print the JSON Schema of one record

run takes the program's arguments as they are and ends as the program ends. Exit codes of its own: 2 when the script
cannot be opened or the call is wrong, 1 when the module cannot be found, as Python has them.
"""


def _key_was_given():
    """The import of the package took the key away; where the kernel shows the environment, its place is still there."""
    try:
        with open("/proc/self/environ", "rb") as file:
            return b"\0AGENTOBS_STREAM_KEY=\0\0" in b"\0" + file.read() + b"\0"
    except OSError:
        return False


def _output(descriptor):
    """What the records would be written to, and whether that will do."""
    import fcntl
    import stat

    try:
        mode = os.fstat(descriptor).st_mode
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    except OSError:
        return "closed: nothing can be recorded"
    if os.isatty(descriptor):
        return "a terminal"
    if stat.S_ISREG(mode):
        return "a file" + (" opened for reading, too: nothing is recorded" if flags & os.O_ACCMODE == os.O_RDWR else "")
    kinds = ((stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISCHR, "a device"))
    return next((name for check, name in kinds if check(mode)), "something else")


def _recording(on, key):
    """(state, reason)"""
    if on:
        return "on", ""
    disabled = os.environ.get("OTEL_SDK_DISABLED", "")
    if disabled.strip().lower() in ("true", "1"):
        return "off", "OTEL_SDK_DISABLED"
    if os.environ.get("AGENTOBS"):
        return "off", "AGENTOBS=0"
    if key == "malformed":
        return "off", "the stream key is not 32 hex digits"
    return "off", "started by agentobs-host, or with AGENTOBS=1, it would be on"


def _context(incoming):
    """Where the trace context came from, and which carriers were of no use."""
    source = ("none: a new trace", "TRACEPARENT", "BRAINTRUST_TRACE_CONTEXT")[incoming[3]]
    carriers = ("TRACEPARENT", "TRACESTATE", "BAGGAGE", "BRAINTRUST_TRACE_CONTEXT")
    bad = [name for bit, name in enumerate(carriers) if incoming[4] >> bit & 1]
    return source + (f" ({', '.join(bad)} malformed and ignored)" if bad else "")


def _settings(options):
    """One row a setting: its value in force, and its default where the environment changed it."""
    for name, value, default, _meaning in options:
        if name == "AGENTOBS_STREAM_KEY":
            continue
        given = os.environ.get(name)
        if value is None:
            yield name, given or "unset"
            continue
        # 0 stands for a number that is not set by itself: it follows the general one, or there is none.
        shown, usual = (str(int(v)) if v or isinstance(v, bool) else "unset" for v in (value, default))
        yield name, shown + (f"   (default {usual})" if given and value != default else "")


def describe():
    """One fact a line: for somebody who wonders, inside a sandbox, why nothing arrives."""
    from agentobs import _agentobs, context, enabled

    here, incoming, options = context(), _agentobs._incoming(), _agentobs._options()
    key = "present" if _agentobs._child_key() else "absent"
    if key == "absent" and _key_was_given():
        key = "present" if os.environ.get("AGENTOBS") or os.environ.get("OTEL_SDK_DISABLED") else "malformed"
    state, reason = _recording(enabled(), key)
    descriptor = next(value for name, value, *_ in options if name == "AGENTOBS_FD")
    sampled = bool(here.trace_flags & 1) or not here.is_remote
    unsampled = next(value for name, value, *_ in options if name == "AGENTOBS_RECORD_UNSAMPLED")
    print(f"agentobs {_agentobs.__version__}, Python {sys.version.split()[0]}")
    print(f"recording     {state}")
    if reason:
        print(f"              ({reason})")
    print(f"stream key    {key}")
    print(f"output        descriptor {descriptor}, {_output(descriptor)}")
    print(f"context       {_context(incoming)}")
    print(f"trace         {here.trace_id}")
    print(f"parent span   {here.span_id if here.is_valid else 'none'}")
    print(f"sampled       {'yes' if sampled else 'no' if unsampled else 'no: its spans are not recorded'}")
    print(f"braintrust    {here.braintrust_parent or 'no parent'}")
    print("settings")
    for name, shown in _settings(options):
        print(f"  {name:40} {shown}")
    return 0


def main(arguments):
    if not arguments:
        return describe()
    if arguments[0] == "run" and len(arguments) > 1 and arguments[1] not in ("-h", "--help"):
        from agentobs._run import run

        code = run(arguments[1:])
        if code is not None:
            return code
    elif arguments == ["schema"]:
        from agentobs import _agentobs

        print(_agentobs._schema_json())
        return 0
    elif arguments[-1] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0
    sys.stderr.write(USAGE)
    return 2


def entry():
    try:
        status = main(sys.argv[1:])
        if sys.modules["__main__"].__dict__ is globals():
            sys.stdout.flush()
    except BrokenPipeError:
        if sys.modules["__main__"].__dict__ is not globals():
            raise  # the program's own
        # Whoever read what we print has seen enough (`python -m agentobs | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    return status


if __name__ == "__main__":
    sys.exit(entry())
