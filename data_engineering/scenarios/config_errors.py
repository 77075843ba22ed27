"""What is wrong with a configuration, in one line."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import ErrorDetails

from data_engineering.model.errors import BadInput

Blocks = Mapping[str, Any]

UNKNOWN = ("extra_forbidden", "invalid_key")
"""Errors that are keys which are not known."""
_MANY = 200
_BOUNDS = {
    "greater_than_equal": "a number of at least",
    "greater_than": "a number above",
    "less_than_equal": "a number of at most",
    "less_than": "a number below",
}
_TYPES = {
    "int_type": "give a whole number, such as 10",
    "float_type": "give a number, such as 0.2",
    "finite_number": "give a finite number",
    "bool_type": "give true or false",
    "string_type": "give a text",
    "string_too_short": "give a text that is not empty",
    "tuple_type": "give a list",
    "model_type": "give a block of keys",
    "dict_type": "give a block of keys",
}


def bad_input(error: ErrorDetails, where: str, blocks: Blocks) -> BadInput:
    """One error of pydantic as a line that names key, value and what to do.

    Args:
        error: what pydantic found.
        where: what the values come from.
        blocks: the models of the blocks by name.
    """
    context = error.get("ctx", {})
    path, value = [str(part) for part in error["loc"]], error["input"]
    if error["type"] == "misuse":
        path, value = [*path, context["key"]], context["value"]
    remedy = _remedy(error, path, blocks)
    if error["type"] == "missing":
        value = None
    elif error["type"] == "extra_forbidden":
        path, value = path[:-1], path[-1]
    shown = value if len(repr(value)) <= _MANY else repr(value)[:_MANY] + "..."
    return BadInput(f"{where}: {'.'.join(path) or 'block'}", shown, remedy)


def _remedy(error: ErrorDetails, path: Sequence[str], blocks: Blocks) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in ("misuse", "refused"):
        return str(context["remedy"])
    if kind == "missing":
        example = ", such as case24_ieee_rts" if path[-1] == "name" else ""
        return f"the key is missing; give it{example}"
    if kind == "extra_forbidden":
        return _nearest(path, blocks)
    if kind == "literal_error":
        return f"give one of: {str(context['expected']).replace(' or ', ', ')}"
    if kind in _BOUNDS:
        bound = next(context[each] for each in ("ge", "gt", "le", "lt") if each in context)
        return f"give {_BOUNDS[kind]} {bound:g}"
    if kind in ("float_type", "int_type") and _reads_as_number(error["input"]):
        text = str(error["input"])
        point = "" if "." in text or "e" not in text.lower() else " (YAML: 1.0e-3, with a point)"
        return f"it is a text; write the number without quotes{point}"
    return _TYPES.get(kind, f"{error['msg'][:1].lower()}{error['msg'][1:]}")


def _reads_as_number(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        float(value)
    except ValueError:
        return False
    return True


def _nearest(path: Sequence[str], blocks: Blocks) -> str:
    """What a key that is not known may have meant: here, in another block, or any key here."""
    *parents, key = path
    known = list(blocks[parents[0]].model_fields if parents else blocks)
    what, prefix = ("key", f"{parents[0]}.") if parents else ("block", "")
    near = difflib.get_close_matches(key, known, n=1)
    if near:
        return f"the {what} is not known; did you mean {prefix}{near[0]}?"
    elsewhere = [name for name, block in blocks.items() if key in block.model_fields]
    if elsewhere:
        return f"the key is not known here; did you mean {elsewhere[0]}.{key}?"
    return f"the {what} is not known; there are: {', '.join(known)}"
