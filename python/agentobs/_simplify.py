"""What an object of any class says about itself, in terms of the types that JSON knows.

The C converter calls simplify() for everything that it cannot write by itself, and converts what comes back, with
all its limits. Nothing is consumed (iterators, generators, files) and nothing is raised.
"""

import sys

_REPR_MAX = 4096
_ITEMS_MAX = 10000


def simplify(value):
    """A str, number, bool, None, list, tuple or dict that stands for the value."""
    try:
        return _simplify(value)
    except BaseException as err:
        if isinstance(err, KeyboardInterrupt):
            raise
        return f"<{type(value).__name__}: {type(err).__name__} while reading it>"


def _simplify(value):
    cls = type(value)
    known = _KNOWN.get((cls.__module__, cls.__qualname__))
    if known:
        return known(value)
    if isinstance(value, BaseException):
        return {"type": _class_name(cls), "message": _text(value)}
    if isinstance(value, type):
        return f"<class {_class_name(value)}>"
    if callable(getattr(cls, "model_dump", None)):
        return value.model_dump()
    enum = sys.modules.get("enum")
    if enum and isinstance(value, enum.Enum):
        return value.value if value.value is not value else value.name
    if hasattr(cls, "__dataclass_fields__"):
        return {name: getattr(value, name, None) for name in cls.__dataclass_fields__}
    if hasattr(cls, "__attrs_attrs__"):
        return {field.name: getattr(value, field.name, None) for field in cls.__attrs_attrs__}
    for base in (str, bytes, int, float):
        if isinstance(value, base):
            return base.__str__(value) if base is str else _exactly(base, value)
    return _container(value, cls)


def _exactly(base, value):
    if base is bytes:
        return bytes(memoryview(value))
    return base.__add__(value, 0) if base is int else base.__add__(value, 0.0)


def _container(value, cls):
    if isinstance(value, tuple):
        return dict(zip(cls._fields, value)) if hasattr(cls, "_fields") else list(value)
    if isinstance(value, (list, set, frozenset)):
        return list(value)
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value[:_REPR_MAX] if len(value) > (1 << 24) else value)
    if isinstance(value, type(sys.implementation)):  # SimpleNamespace
        return dict(vars(value))
    if hasattr(cls, "__fspath__"):
        return value.__fspath__()
    if hasattr(cls, "items") and hasattr(cls, "keys") and hasattr(cls, "__getitem__"):
        return dict(value.items())
    # numpy and its kin
    if hasattr(cls, "tolist") and getattr(value, "size", _ITEMS_MAX + 1) <= _ITEMS_MAX:
        return value.tolist()
    if hasattr(cls, "__len__") and hasattr(cls, "__iter__") and hasattr(cls, "__contains__"):
        return list(value)
    # pydantic version 1, and others of that kind
    if hasattr(cls, "__fields__") and callable(getattr(cls, "dict", None)):
        return value.dict()
    return _text(value, repr)


def _class_name(cls):
    return cls.__qualname__ if cls.__module__ in ("builtins", "__main__") else f"{cls.__module__}.{cls.__qualname__}"


def _text(value, how=str):
    text = how(value)
    return text if len(text) <= _REPR_MAX else text[:_REPR_MAX] + f"\u2026[{len(text) - _REPR_MAX} more characters]"


_KNOWN = {
    ("datetime", "datetime"): lambda v: v.isoformat(),
    ("datetime", "date"): lambda v: v.isoformat(),
    ("datetime", "time"): lambda v: v.isoformat(),
    ("datetime", "timedelta"): lambda v: v.total_seconds(),
    ("decimal", "Decimal"): str,
    ("fractions", "Fraction"): str,
    ("uuid", "UUID"): str,
    ("builtins", "complex"): str,
    ("builtins", "range"): repr,
    ("builtins", "module"): lambda v: f"<module {v.__name__}>",
    ("builtins", "function"): lambda v: f"<function {v.__qualname__}>",
    ("builtins", "generator"): repr,
    ("builtins", "coroutine"): repr,
    ("builtins", "async_generator"): repr,
    ("re", "Pattern"): lambda v: v.pattern,
}
