"""Forms as PostgreSQL takes them: one array for each column, and many forms in one statement."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from gateway_core.db.forms import Form, Write


def arguments(writes: Sequence[Write]) -> list[Any]:
    """What is bound to the statement of these writes."""
    found: list[Any] = []
    for form, values, shared in writes:
        width = form.width
        found += [values[at::width] for at in range(width)]
        found += shared
    return found


@lru_cache(64)
def text(forms: tuple[Form, ...]) -> str:
    """One statement that does all of these and says how many rows each touched.

    None sees what another wrote: they must not depend on one another.
    """
    parts, counts, number = [], [], 1
    for index, form in enumerate(forms):
        parts.append(f"w{index} AS ({_statement(form, number)} RETURNING 1)")
        counts.append(f"(SELECT COUNT(*) FROM w{index})")  # noqa: S608
        number += form.width + len(form.shared)
    return f"WITH {', '.join(parts)} SELECT {','.join(counts)}"  # names come from tables.py


def _statement(form: Form, number: int) -> str:
    arrays = ",".join(f"${at}::{column.kind}[]" for at, column in enumerate(form.columns, number))
    source = f"unnest({arrays}) AS d({','.join(column.name for column in form.columns)})"
    if form.key is not None:
        values = ",".join(f"{name}=d.{name}" for name in form.targets)
        return f"UPDATE {form.table} SET {values} FROM {source} WHERE {form.table}.{form.key}=d.{form.key}"  # noqa: S608
    shared = {
        column.name: f"${at}::{column.kind}" for at, column in enumerate(form.shared, number + form.width)
    }
    rows = [form.filled(row, lambda word: shared.get(word, f"d.{word}")) for row in form.rows]
    if len(rows) == 1:
        selected = f"SELECT {rows[0]} FROM {source}"  # noqa: S608
    else:
        selected = f"SELECT e.* FROM {source}, LATERAL (VALUES {','.join(f'({row})' for row in rows)}) AS e"  # noqa: S608
    return f"INSERT INTO {form.table} ({','.join(form.targets)}) {selected} {form.conflict}"
