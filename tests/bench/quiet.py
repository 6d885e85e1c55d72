"""What a gateway has open and in memory once it is quiet: what is more than before was left behind."""

import json
import time
import urllib.request
from typing import Final

import msgspec

from tests.bench import probe
from tests.bench.machine import descriptors
from tests.gateway.process import Gateway

QUIET: Final = 35.0  # seconds: longer than a connection to a provider is kept
_STILL: Final = 2.0
_PATIENCE: Final = 120.0


class Open(msgspec.Struct, frozen=True, kw_only=True):
    """`blocks`: pieces of memory that Python's own objects hold, after a collection of garbage."""

    descriptors: int
    tasks: int
    blocks: int


def settled(gateway: Gateway, quiet: float = QUIET) -> Open:
    """What is open after so many seconds, once no file, socket or task comes or goes; it needs the probe."""
    began = since = time.monotonic()
    found = None
    while found is None or time.monotonic() < max(began + quiet, min(since + _STILL, began + _PATIENCE)):
        files = descriptors(gateway.process.pid)  # before the question, which has a socket of its own
        with urllib.request.urlopen(f"{gateway.base_url}{probe.PATH}", timeout=30) as answer:
            seen = Open(descriptors=files, **json.load(answer))
        if found is None or (seen.descriptors, seen.tasks) != (found.descriptors, found.tasks):
            since = time.monotonic()
        found = seen
        time.sleep(0.5)
    return found
