"""A text that matches a regular expression: the shortest that a walk over its parse gives."""

import re
from re import _parser  # type: ignore[attr-defined]  # the standard library's own parser; there is no public door to it
from typing import Any

_CATEGORIES = {
    "CATEGORY_DIGIT": "1",
    "CATEGORY_WORD": "a",
    "CATEGORY_SPACE": " ",
    "CATEGORY_NOT_DIGIT": "a",
    "CATEGORY_NOT_WORD": "-",
    "CATEGORY_NOT_SPACE": "a",
}
_LETTERS = "a1A-_ .@/:"


def matching(pattern: str) -> str:
    """The text; "text" where the expression cannot be read: JSON schema's dialect is not quite Python's."""
    try:
        text = _walk(_parser.parse(pattern))
        return text if re.search(pattern, text) else "text"
    except (re.error, RecursionError, OverflowError):
        return "text"


def _walk(nodes: Any) -> str:
    return "".join(_one(str(code), argument) for code, argument in nodes)


def _one(code: str, argument: Any) -> str:
    match code:
        case "LITERAL":
            return chr(argument)
        case "NOT_LITERAL":
            return next(letter for letter in _LETTERS if ord(letter) != argument)
        case "ANY":
            return "a"
        case "IN":
            return _of_set(argument)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            least, most, inner = argument
            return _walk(inner) * min(max(int(least), 1 if int(most) else 0), 1_000)
        case "SUBPATTERN":
            return _walk(argument[-1])
        case "ATOMIC_GROUP":
            return _walk(argument)
        case "BRANCH":
            return _walk(argument[1][0])
        case _:  # AT, ASSERT ...: they take no letter
            return ""


def _of_set(members: Any) -> str:
    negated = str(members[0][0]) == "NEGATE"
    if negated:
        return next(
            (letter for letter in _LETTERS if not any(_in(member, letter) for member in members[1:])), "a"
        )
    code, argument = members[0]
    match str(code):
        case "LITERAL":
            return chr(argument)
        case "RANGE":
            return chr(argument[0])
        case _:
            return _CATEGORIES.get(str(argument), "a")


def _in(member: Any, letter: str) -> bool:
    code, argument = member
    match str(code):
        case "LITERAL":
            return bool(ord(letter) == argument)
        case "RANGE":
            return bool(argument[0] <= ord(letter) <= argument[1])
        case _:
            wanted = {"CATEGORY_DIGIT": r"\d", "CATEGORY_WORD": r"\w", "CATEGORY_SPACE": r"\s"}.get(
                str(argument)
            )
            return bool(re.match(wanted, letter)) if wanted else False
