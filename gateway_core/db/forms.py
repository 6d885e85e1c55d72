"""Statements for many rows at once, in no dialect yet: what each row brings, and what all of them share.

A value that is the same for every row costs nothing when it stands in the statement, and a batch writes the
same rows over and over. So a form binds only what differs.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

KINDS: Final = {"#": "bigint", "?": "boolean"}
_WORDS: Final = re.compile(r"'[^']*'|\w+")


class Column(NamedTuple):
    """A value that a row brings; `null` where it may be NULL."""

    name: str
    kind: str  # text | bigint | boolean
    null: bool


class Form:
    """An INSERT, or an UPDATE by a key, of any number of rows.

    columns  what each row brings, in its order
    shared   what is bound once for all of them
    targets  the table's columns that are written
    rows     what one row brought becomes so many rows: an expression for each target, made of the names of
             columns, SQL literals and operators that both dialects have
    conflict what follows the rows (`ON CONFLICT ...`)
    key      of an UPDATE: the column that finds the row; it comes first, and the others are set
    texts    the statements made of it, for the store to keep
    """

    __slots__ = ("columns", "conflict", "key", "rows", "shared", "table", "targets", "texts", "width")

    def __init__(
        self,
        table: str,
        columns: Sequence[Column],
        shared: Sequence[Column],
        targets: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        conflict: str = "",
        key: str | None = None,
    ) -> None:
        self.table = table
        self.columns = tuple(columns)
        self.shared = tuple(shared)
        self.targets = tuple(targets)
        self.rows = tuple(tuple(row) for row in rows)
        self.conflict = conflict
        self.key = key
        self.width = len(columns)
        self.texts: dict[int, str] = {}

    def filled(self, row: Sequence[str], name: Callable[[str], str]) -> str:
        """One row's expressions, every column's name in them replaced."""
        known = {column.name for column in (*self.columns, *self.shared)}

        def replaced(found: re.Match[str]) -> str:
            word = found.group()
            return name(word) if word in known else word

        return ",".join(_WORDS.sub(replaced, expression) for expression in row)


class Write(NamedTuple):
    """A form with its values, row after row, and what they share."""

    form: Form
    values: list[Any]
    shared: tuple[Any, ...] = ()


def columns(words: str) -> list[Column]:
    """`name` is text, `name#` a bigint, `name?` a boolean; `-` behind it if it may be NULL."""
    found = []
    for word in words.split():
        name = word.rstrip("#?-")
        found.append(Column(name, next((KINDS[c] for c in word if c in KINDS), "text"), word.endswith("-")))
    return found


def inserted(
    table: str, words: str, *, shared: str = "", fixed: Mapping[str, str] | None = None, conflict: str = ""
) -> Form:
    """An INSERT of these columns, of those that are shared, and of the fixed ones by their expression."""
    brought, common, fixed = columns(words), columns(shared), fixed or {}
    names = [column.name for column in (*brought, *common)]
    return Form(table, brought, common, [*names, *fixed], [[*names, *fixed.values()]], conflict=conflict)


def updated(table: str, words: str) -> Form:
    """An UPDATE of these columns, found by the first."""
    brought = columns(words)
    names = [column.name for column in brought]
    return Form(table, brought, (), names[1:], [names[1:]], key=names[0])
