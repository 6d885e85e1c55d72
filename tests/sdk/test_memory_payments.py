"""Payments in memory keep the core's rules, so that a plugin's tests mean something."""

import pytest

from plugin_sdk.errors import Conflict, NotFound, Unprocessable
from plugin_sdk.testing import MemoryServices
from plugin_sdk.testing.payments import MemoryPayments


def payments() -> MemoryPayments:
    found = MemoryServices().payments
    found.teams = {"T", "U"}
    return found


async def paid(store: MemoryPayments, team: str = "T", nanos: int = 105) -> bool:
    made = await store.credit(team, source="acme", reference="p", nanos=nanos, fee=5, reason="paid")
    return bool(made["booked"])


async def test_a_payment_is_credited_once_and_to_one_team() -> None:
    store = payments()
    assert [await paid(store), await paid(store)] == [True, False]
    assert await store.balance("T") == 100
    for other in ({"team": "U"}, {"nanos": 106}):
        with pytest.raises(Conflict):
            await paid(store, **other)
    with pytest.raises(NotFound):
        await paid(store, "nobody")


async def test_what_was_returned_is_taken_once_and_may_be_undone_once() -> None:
    store = payments()
    await paid(store)
    store.balances["T"] = 30
    values = {"source": "acme", "payment": "p", "reference": "r", "nanos": 105, "reason": "returned"}
    made = [await store.reverse(**values) for _ in range(2)]
    assert [(one["amount_nanos"], one["booked"]) for one in made] == [(-30, True), (-30, False)]
    with pytest.raises(Unprocessable) as refused:
        await store.reverse(**{**values, "reference": "r2", "nanos": 1})
    assert (refused.value.reason, refused.value.extra) == ("nothing_left", {"left_nanos": 0})
    undo = {"source": "acme", "reversal": "r", "reference": "u", "reason": "undone"}
    assert [(await store.reinstate(**undo))["booked"] for _ in range(2)] == [True, False]
    assert await store.balance("T") == 30
    for missing in ("p", "x"):
        with pytest.raises(NotFound):
            await store.reinstate(**{**undo, "reversal": missing})
    with pytest.raises(NotFound):
        await store.reverse(**{**values, "payment": "x"})


async def test_an_event_that_is_done_with_is_remembered_for_its_source() -> None:
    store = payments()
    await store.done(source="acme", event="e")
    known = [
        await store.told(source=source, event=event)
        for source, event in (("acme", "e"), ("acme", "f"), ("b", "e"))
    ]
    assert known == [True, False, False]
