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
    values = _Values(form)
    made = ",".join(f"({form.filled(row, values.of(number))})" for number in range(rows) for row in form.rows)
    # No value is ever in the text: names come from tables.py.
    return f"INSERT INTO {form.table} ({','.join(form.targets)}) VALUES {made} {form.conflict}"  # noqa: S608


def _update(form: Form, rows: int) -> str:
    key, values = str(form.key), _Values(form)
    if rows == 1:
        name = values.of(0)
        changes = ",".join(f"{target}={form.filled([target], name)}" for target in form.targets)
        return f"UPDATE {form.table} SET {changes} WHERE {key}={name(key)}"  # noqa: S608
    made = ",".join(f"({form.filled((key, *form.targets), values.of(number))})" for number in range(rows))
    changes = ",".join(f"{name}=d.{name}" for name in form.targets)
    return (
        f"WITH d({','.join((key, *form.targets))}) AS (VALUES {made}) "  # noqa: S608
        f"UPDATE {form.table} SET {changes} FROM d WHERE {form.table}.{key}=d.{key}"
    )


class _Values:
    """How values are written, in the order of the text: `?` for the next number, else the number itself.

    To SQLite a number is a name, and Python's driver (since 3.12) looks each value's name up among all names.
    """

    def __init__(self, form: Form) -> None:
        self._form = form
        self._last = 0

    def of(self, row: int) -> Callable[[str], str]:
        """How a column is written in this row."""
        form = self._form
        first = len(form.shared) + row * form.width + 1
        columns = {column.name: (column, number) for number, column in enumerate(form.shared, 1)}
        columns |= {column.name: (column, number) for number, column in enumerate(form.columns, first)}

        def name(word: str) -> str:
            column, number = columns[word]
            value = "?" if number == self._last + 1 else f"?{number}"
            self._last = max(self._last, number)
            return f"NULLIF({value},{_NULL[column.kind]!r})" if column.null else value

        return name
