"""Forms as SQLite takes them: one statement of numbered values for so many rows."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from gateway_core.db.forms import Form, Write

# Rows of one statement. Every call into SQLite gives up the interpreter's lock and must win it back from a
# busy event loop, so they are many; and of few sizes, so that few statements are ever prepared.
_SIZES: Final = (64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1)
# Python's driver looks for an adapter of None, True and False again and again, at ten times the cost of an
# int's binding. So a boolean is bound as an int, and a value that no column of its kind can have is NULL.
_NULL: Final = {"text": 0, "bigint": "", "boolean": ""}
_BOOLEAN: Final = {True: 1, False: 0, None: ""}


def statements(write: Write) -> Iterator[tuple[str, list[Any]]]:
    """The statements of a write, each with what is bound to it."""
    form, values, shared = write
    width = form.width
    _harmless(form, values)
    rows = len(values) // width
    if rows in _SIZES and not shared:
        yield _text(form, rows), values
        return
    at = 0
    for size in _SIZES:
        while rows >= size:
            end = at + size * width
            yield _text(form, size), [*shared, *values[at:end]]
            at, rows = end, rows - size


def _harmless(form: Form, values: list[Any]) -> None:
    """No None and no boolean among the values."""
    width = form.width
    for at, column in enumerate(form.columns):
        if column.kind == "boolean":
            values[at::width] = [_BOOLEAN[value] for value in values[at::width]]
        elif column.null:
            null = _NULL[column.kind]
            values[at::width] = [null if value is None else value for value in values[at::width]]


def _text(form: Form, rows: int) -> str:
    text = form.texts.get(rows)
    if text is None:
        text = form.texts[rows] = _insert(form, rows) if form.key is None else _update(form, rows)
    return text


def _insert(form: Form, rows: int) -> str:
    made = ",".join(
        f"({form.filled(row, _namer(form, number))})" for number in range(rows) for row in form.rows
    )
    # No value is ever in the text: names come from tables.py.
    return f"INSERT INTO {form.table} ({','.join(form.targets)}) VALUES {made} {form.conflict}"  # noqa: S608


def _update(form: Form, rows: int) -> str:
    key = str(form.key)
    if rows == 1:
        name = _namer(form, 0)
        values = ",".join(f"{target}={form.filled([target], name)}" for target in form.targets)
        return f"UPDATE {form.table} SET {values} WHERE {key}={name(key)}"  # noqa: S608
    made = ",".join(f"({form.filled((key, *form.targets), _namer(form, number))})" for number in range(rows))
    values = ",".join(f"{name}=d.{name}" for name in form.targets)
    return (
        f"WITH d({','.join((key, *form.targets))}) AS (VALUES {made}) "  # noqa: S608
        f"UPDATE {form.table} SET {values} FROM d WHERE {form.table}.{key}=d.{key}"
    )


def _namer(form: Form, row: int) -> Callable[[str], str]:
    """How a column is written in this row: by the number under which its value is bound."""
    numbers = {column.name: number for number, column in enumerate(form.shared, 1)}
    first = len(form.shared) + row * form.width + 1
    numbers |= {column.name: number for number, column in enumerate(form.columns, first)}
    kinds = {column.name: column for column in (*form.columns, *form.shared)}

    def name(word: str) -> str:
        column, number = kinds[word], f"?{numbers[word]}"
        return f"NULLIF({number},{_NULL[column.kind]!r})" if column.null else number

    return name
