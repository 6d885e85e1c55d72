"""The `api_keys` policy: who gets in, who does not, and for how long an answer is remembered."""

import asyncio
from collections.abc import Mapping

import msgspec
import pytest

from plugin_sdk import keys
from plugin_sdk.context import Credentials, KeyMode, Principal
from plugin_sdk.errors import KeyLimitExceeded, Unauthenticated
from plugin_sdk.services import KeyRecord
from plugin_sdk.testing import MemoryServices
from plugins.policies.api_keys import ApiKeys, ApiKeysConfig


async def _gate(services: MemoryServices, **config: object) -> ApiKeys:
    plugin = ApiKeys("api_keys", ApiKeysConfig.model_validate(config))
    await plugin.startup(services.lent())
    return plugin


def _key(services: MemoryServices, minted: KeyMode = "live", **changes: object) -> tuple[str, KeyRecord]:
    text, parsed = keys.mint(minted)
    record = KeyRecord(
        id="K-1",
        team_id="T-1",
        kid=parsed.kid,
        hash=keys.hashed(parsed.secret, services.pepper),
        mode=minted,
        name="k",
    )
    record = msgspec.structs.replace(record, **changes)
    services.keys.put(record)
    return text, record


async def _enter(gate: ApiKeys, headers: Mapping[str, str]) -> Principal:
    return await gate.authenticate(Credentials(headers=headers, method="POST", path="/chat/completions"))


async def _refusal(gate: ApiKeys, headers: Mapping[str, str]) -> str | None:
    with pytest.raises(Unauthenticated) as refused:
        await _enter(gate, headers)
    assert refused.value.status == 401
    assert refused.value.message
    return refused.value.reason


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER   "])
async def test_a_bearer_key_gives_its_team_kid_mode_and_scopes(scheme: str) -> None:
    services = MemoryServices()
    text, record = _key(services, "test", scopes=frozenset({"a"}))
    caller = await _enter(await _gate(services), {"authorization": scheme + text})
    assert caller == Principal(team_id="T-1", kid=record.kid, mode="test", scopes=frozenset({"a"}))


async def test_an_x_api_key_header_is_as_good_as_a_bearer_token() -> None:
    services = MemoryServices()
    text, record = _key(services)
    assert (await _enter(await _gate(services), {"x-api-key": text})).kid == record.kid


async def test_a_management_key_is_known_as_one_so_that_the_routes_can_decide() -> None:
    services = MemoryServices()
    text, _ = _key(services, "management")
    assert (await _enter(await _gate(services), {"authorization": f"Bearer {text}"})).mode == "management"


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": ""}, {"authorization": "Basic abc"}, {"authorization": "Bearer "}]
)
async def test_no_key_at_all_is_a_missing_header(headers: dict[str, str]) -> None:
    assert await _refusal(await _gate(MemoryServices()), headers) == "missing_or_invalid_authorization_header"


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "sk-proj-abcdefghijklmnop",
        "aistats_v1_sk_bad_bad",
        "aistats_v1_xx_abcdefghijkl_" + "s" * 40,
        "aistats_v1_sk_abcdefghijkl_",
        "aistats_v1_sk_abc' OR 1=1_" + "s" * 40,
        "aistats_v1_sk_%%%%%%%%%%%%_" + "s" * 40,
        "aistats_v1_sk_\u00e4bcdefghijkl_" + "s" * 40,
        "aistats_v1_sk_abcdefghijkl_" + "s" * 400,
    ],
)
async def test_what_is_not_a_key_is_refused_before_any_look_up(text: str) -> None:
    services = MemoryServices()
    assert await _refusal(await _gate(services), {"authorization": f"Bearer {text}"}) == "invalid_key_format"
    assert services.keys.found == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": "disabled"}, "key_not_found_or_revoked"),
        ({"status": "revoked"}, "key_not_found_or_revoked"),
        ({"mode": "management"}, "key_not_found_or_revoked"),
        ({"hash": "0" * 64}, "invalid_secret"),
        ({"expires_at": 1_767_225_600_000}, "key_expired"),
    ],
)
async def test_a_key_that_may_not_pass_is_refused_with_its_reason(
    changes: dict[str, object], reason: str
) -> None:
    services = MemoryServices()
    text, _ = _key(services, **changes)
    assert await _refusal(await _gate(services), {"authorization": f"Bearer {text}"}) == reason


async def test_a_soft_blocked_key_meets_a_limit_of_nothing() -> None:
    services = MemoryServices()
    text, _ = _key(services, soft_blocked=True)
    with pytest.raises(KeyLimitExceeded) as refused:
        await _enter(await _gate(services), {"authorization": f"Bearer {text}"})
    assert (refused.value.status, refused.value.reason) == (429, "key_limit_soft_blocked")


async def test_the_state_of_a_key_is_not_told_to_one_without_its_secret() -> None:
    services = MemoryServices()
    text, _ = _key(services, status="revoked")
    other = text[:-1] + ("a" if text[-1] != "a" else "b")
    assert await _refusal(await _gate(services), {"authorization": f"Bearer {other}"}) == "invalid_secret"


async def test_an_unknown_key_is_not_found_and_works_as_soon_as_it_is_made() -> None:
    services = MemoryServices()
    gate = await _gate(services)
    text, parsed = keys.mint("live")
    assert await _refusal(gate, {"x-api-key": text}) == "key_not_found_or_revoked"
    hashed = keys.hashed(parsed.secret, services.pepper)
    services.keys.put(KeyRecord(id="K", team_id="T-2", kid=parsed.kid, hash=hashed, mode="live", name="new"))
    assert (await _enter(gate, {"x-api-key": text})).team_id == "T-2"


async def test_a_gateway_without_a_pepper_says_so() -> None:
    services = MemoryServices()
    text, _ = _key(services)
    services.pepper = b""
    assert await _refusal(await _gate(services), {"x-api-key": text}) == "server_misconfig_missing_pepper"


async def test_a_key_is_looked_up_once_a_minute_and_again_when_the_minute_is_over() -> None:
    services = MemoryServices()
    gate = await _gate(services)
    text, _ = _key(services)
    for _ in range(3):
        await _enter(gate, {"x-api-key": text})
    assert services.keys.found == 1
    services.now += 60_000
    await _enter(gate, {"x-api-key": text})
    assert services.keys.found == 2


async def test_a_revoked_key_is_forgotten_at_once() -> None:
    services = MemoryServices()
    gate = await _gate(services)
    text, record = _key(services)
    await _enter(gate, {"x-api-key": text})
    services.keys.put(msgspec.structs.replace(record, status="revoked"))
    assert await _refusal(gate, {"x-api-key": text}) == "key_not_found_or_revoked"


async def test_a_key_that_changes_while_it_is_looked_up_is_not_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    services = MemoryServices()
    gate = await _gate(services)
    text, record = _key(services)
    read, go_on = asyncio.Event(), asyncio.Event()
    find = services.keys.find

    async def slow(kid: str) -> KeyRecord | None:
        found = await find(kid)
        read.set()
        await go_on.wait()
        return found

    monkeypatch.setattr(services.keys, "find", slow)
    entering = asyncio.create_task(_enter(gate, {"x-api-key": text}))
    await read.wait()
    services.keys.put(msgspec.structs.replace(record, status="revoked"))
    go_on.set()
    await entering  # it was let in by what was true when it asked
    assert await _refusal(gate, {"x-api-key": text}) == "key_not_found_or_revoked"


async def test_a_remembered_key_expires_on_time() -> None:
    services = MemoryServices()
    gate = await _gate(services)
    text, _ = _key(services, expires_at=services.now + 1_000)
    await _enter(gate, {"x-api-key": text})
    services.now += 1_000
    assert await _refusal(gate, {"x-api-key": text}) == "key_expired"


async def test_many_requests_with_a_key_that_is_not_remembered_share_one_look_up() -> None:
    services = MemoryServices()
    gate = await _gate(services)
    text, _ = _key(services)
    await asyncio.gather(*(_enter(gate, {"x-api-key": text}) for _ in range(50)))
    assert services.keys.found == 1


async def test_a_request_that_is_cancelled_does_not_take_the_others_look_up_with_it() -> None:
    services = MemoryServices()
    gate = await _gate(services)
    text, _ = _key(services)
    first, second = (asyncio.create_task(_enter(gate, {"x-api-key": text})) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).team_id == "T-1"
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_only_so_many_keys_are_remembered_the_oldest_going_first() -> None:
    services = MemoryServices()
    gate = await _gate(services, cache_keys=2)
    texts = [_key(services)[0] for _ in range(3)]
    for text in [*texts, texts[2], texts[1], texts[0]]:
        await _enter(gate, {"x-api-key": text})
    assert services.keys.found == 4


async def test_nobody_is_remembered_after_the_plugin_was_shut_down() -> None:
    services = MemoryServices()
    gate = await _gate(services)
    text, _ = _key(services)
    await _enter(gate, {"x-api-key": text})
    await gate.shutdown()
    assert services.keys._watchers == []
    await _enter(gate, {"x-api-key": text})
    assert services.keys.found == 2


async def test_no_plaintext_of_a_key_is_kept() -> None:
    services = MemoryServices()
    gate = await _gate(services)
    text, _ = _key(services)
    await _enter(gate, {"x-api-key": text})
    kept = repr(vars(gate))
    assert text not in kept
    assert text.rpartition("_")[2] not in kept


async def test_a_key_that_lets_somebody_in_is_noted_as_used_and_a_refused_one_is_not() -> None:
    services = MemoryServices()
    text, record = _key(services)
    gate = await _gate(services)
    for _ in range(2):
        await _enter(gate, {"authorization": f"Bearer {text}"})
    await _refusal(gate, {"authorization": f"Bearer {text}x"})
    assert services.keys.uses == [record.kid] * 2
