"""What a second worker costs: CPU for each request beside one worker's, and whether the wallet is exact."""

from collections.abc import Callable
from contextlib import ExitStack

import msgspec

from tests.bench.cases import Figures, figures
from tests.bench.machine import VERIFY_SECONDS, Circumstances
from tests.bench.native import Window, request, window
from tests.bench.rig import Rig, target
from tests.gateway.database import blocking
from tests.gateway.process import Gateway, command

_WARM = 0.5


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """One database. `off`: nanos that the wallets lost beyond what the answers said; 0 is right."""

    one: Figures
    two: Figures
    off: int
    answers: int

    @property
    def ratio(self) -> float:
        """The CPU of a request on two workers, as a multiple of one worker's."""
        return self.two.cpu_us_request / self.one.cpu_us_request


class Workers(msgspec.Struct, frozen=True, kw_only=True):
    """{kind of database: figures}. Two workers share the core that one has, and the same 64 connections."""

    taken: Circumstances
    databases: dict[str, Pair]


def measure(
    rig: Rig, taken: Circumstances, *, seconds: float, rounds: int, say: Callable[[str], None]
) -> Workers:
    """Both, in turn, on each database that can be had."""
    found = {}
    for kind in rig.databases():
        one = found[kind] = pair(rig, kind, seconds=seconds, rounds=rounds)
        say(
            f"workers: {kind} {one.one.cpu_us_request:.1f} us/request with one,"
            f" {one.two.cpu_us_request:.1f} with two ({one.ratio:.2f});"
            f" bad {one.one.bad + one.two.bad}; off by {one.off} nanos"
        )
    return Workers(taken=taken, databases=found)


def pair(rig: Rig, kind: str, *, seconds: float, rounds: int) -> Pair:
    """One worker and two, in turn, on a database of that kind; raises where a ledger is not right."""
    body = request("chat/d0", stream=False)
    with ExitStack() as stack:
        both = [stack.enter_context(rig.gateway(database=kind, workers=count)) for count in (1, 2)]
        before = [_balance(one) for one in both]
        seen: list[list[Window]] = [[], []]
        for _ in range(rounds + 1):  # the first warms up, and its charges count
            for windows, one in zip(seen, both, strict=True):
                windows.append(window(target(one), body, c=64, s=seconds, w=_WARM))
        lost = [first - _balance(one) for first, one in zip(before, both, strict=True)]
        for one in both:
            command(one.config, "ledger", "verify", seconds=VERIFY_SECONDS)
    charged = [sum(each.load.nanos for each in windows) for windows in seen]
    off = sum(abs(gone - said) for gone, said in zip(lost, charged, strict=True))
    answers = sum(each.load.answered for windows in seen for each in windows)
    return Pair(one=figures(seen[0][1:]), two=figures(seen[1][1:]), off=off, answers=answers)


def _balance(gateway: Gateway) -> int:
    return blocking(gateway.balance())
