"""What a script of the survival tests finds in place of agentobs in the run that the others are compared with.

It does nothing at all: no extension is loaded, no descriptor opened, no thread started. Whatever the script then prints
is what it would print if nobody had ever heard of agentobs.
"""


class _Nothing:
    """Any name, any call, `with`, `async with`, decoration: accepted, and without effect."""

    _shared = True

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *args, **kwargs):
        plain = len(args) == 1 and not kwargs and callable(args[0]) and args[0] is not self
        return args[0] if plain else self

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return False

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc):
        return False


_nothing = _Nothing()


def enabled():
    return False


def flush(timeout=None):
    return True


def stats():
    return dict.fromkeys(("recorded", "dropped", "truncated", "bytes", "writes", "write_time", "pending_bytes", "error"), 0)


def child_env(env=None, record=False):
    import os

    return dict(os.environ if env is None else env)


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return _nothing
