"""Who is measured: the upstream itself, the least application, this gateway, and peers that are given."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.bench.cases import CASES, Case, Contender
from tests.bench.peers import PEERS
from tests.bench.rig import Rig, hello, target
from tests.bench.table import FULL, OURS
from tests.gateway.process import Gateway

_ALL = tuple(case.name for case in CASES)
_SAME = tuple(case.name for case in CASES if not case.translated)


@contextmanager
def contenders(rig: Rig, peers: Mapping[str, Path]) -> Iterator[list[Contender]]:
    """All of them, running for as long as the block lasts: one that is not asked uses next to nothing."""
    with ExitStack() as stack:
        least = stack.enter_context(hello())
        found = [
            Contender(
                name="direct",
                cases=_SAME,
                target=lambda case: rig.upstream,
                model=lambda case: f"mock-{case.behaviour}",
            ),
            Contender(name="hello", cases=("json_c64",), target=lambda case: least, model=_model),
        ]
        for name, cases in ((OURS, _ALL), (FULL, ("json_c64",))):
            found.append(_ours(name, cases, stack.enter_context(rig.gateway(durability=name))))
        for name, path in peers.items():
            found.append(stack.enter_context(PEERS[name](path, rig.upstream)))
        yield found


def _ours(name: str, cases: tuple[str, ...], gateway: Gateway) -> Contender:
    where = target(gateway)
    return Contender(name=name, cases=cases, target=lambda case: where, model=_model)


def _model(case: Case) -> str:
    return f"{'messages' if case.translated else 'chat'}/{case.behaviour}"
