"""The pepper: the secret with which API keys are hashed, of the environment or a file beside the database."""

import contextlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from gateway_core.config.problems import ConfigError


def pepper(environ: Mapping[str, str], variable: str, database: Path | None) -> bytes:
    """The variable's value; else, on SQLite, what a 0600 file beside the database holds, made at first."""
    value = environ.get(variable)
    if value and database is not None:
        _check(value.encode(), database.with_name(database.name + ".pepper"), variable)
    if value:
        return value.encode()
    if database is None:
        raise ConfigError(
            [f"set {variable}: on PostgreSQL every process needs this one secret, to hash API keys"]
        )
    return _from_file(database.with_name(database.name + ".pepper"), variable)


def _check(value: bytes, path: Path, variable: str) -> None:
    """Raise where a gateway that began with its file is given another secret: every key would be void."""
    try:
        began_with = path.read_bytes().strip()
    except OSError:
        return
    if began_with and began_with != value:
        raise ConfigError(
            [
                f"{variable}: it differs from {path}, with which the keys so far were hashed; set it to "
                "what that file holds, or remove the file: then every one of those keys is void"
            ]
        )


def _from_file(path: Path, variable: str) -> bytes:
    try:
        with contextlib.suppress(FileExistsError):
            _make(path)
        found = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}; make it readable, or set {variable}"]) from error
    if not found:
        raise ConfigError([f"{path}: it is empty; restore it, or set {variable}"])
    return found


def _make(path: Path) -> None:
    """Write a new one, whole or not at all: several workers may start at once."""
    if path.exists():
        return
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_urlsafe(48).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    finally:
        draft.unlink()
