"""Ids: ULIDs, rising within a process, and the generation ids made of them."""

import os
import time
from collections.abc import Callable
from typing import Final

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32
_PAIRS: Final = [a + b for a in _ALPHABET for b in _ALPHABET]
_LETTERS: Final = bytes(ord(_ALPHABET[byte % 32]) for byte in range(256))  # a letter for each byte, all alike
_FULL: Final = 1 << 20  # where the last four letters end, which count
_CHANCE: Final = 15  # random bytes of a moment: twelve letters, and where the counting starts
_BULK: Final = _CHANCE * 512
_LONGEST: Final = 40  # as the tables have it


def wall_clock() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def may_be_id(text: str) -> bool:
    """Whether a client's text may be an id of ours: no database is asked for what none of them can hold."""
    return len(text) <= _LONGEST and text.isascii() and text.isprintable()


class Ids:
    """ULIDs: 48 bits of time, 80 of chance; within one millisecond the next is the last plus one."""

    __slots__ = ("_at", "_chance", "_clock", "_count", "_moment", "_second", "_stem", "_time")

    def __init__(self, clock: Callable[[], int] = wall_clock) -> None:
        self._clock = clock
        self._moment = self._second = -1
        self._time = self._stem = ""
        self._count = 0
        self._chance = b""  # random bytes, asked for in bulk: each system call may cost a thread switch
        self._at = 0

    def new(self, now: int | None = None) -> str:
        """A ULID, 26 characters, greater than every one before it; `now` for one who knows it already."""
        if now is None:
            now = self._clock()
        if now > self._moment:
            self._begin(now)
        else:
            self._count += 1
            if self._count == _FULL:
                self._begin(self._moment + 1)
        return self._stem + _PAIRS[self._count >> 10] + _PAIRS[self._count & 1023]

    def generation(self, now: int | None = None) -> str:
        """A generation id: `G-` and a ULID."""
        return "G-" + self.new(now)

    def _begin(self, moment: int) -> None:
        """The 22 letters that the ids of a millisecond share, and where the rest starts counting."""
        self._moment = moment
        if moment >> 10 != self._second:
            self._second = moment >> 10
            self._time = "".join([_PAIRS[moment >> shift & 1023] for shift in (40, 30, 20, 10)])
        at = self._at
        if at >= len(self._chance):
            self._chance, at = os.urandom(_BULK), 0
        self._at = at + _CHANCE
        letters = self._chance[at : at + 12].translate(_LETTERS).decode()
        # The top bit stays free, so that there is room to count.
        self._count = int.from_bytes(self._chance[at + 12 : at + 15]) >> 5
        self._stem = self._time + _PAIRS[moment & 1023] + letters
