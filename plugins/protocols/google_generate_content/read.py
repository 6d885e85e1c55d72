"""An upstream's answer as deltas: streamed or whole, the objects are the same."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from typing_extensions import override

from plugin_sdk.errors import UpstreamError
from plugin_sdk.estimate import output_tokens
from plugin_sdk.protocol import Decoder, Facts
from plugin_sdk.splices import decoded
from plugin_sdk.text import Delta, Failed, Finish, Finished, Started, UsageDelta
from plugin_sdk.upstream_errors import failure, failure_in_field
from plugins.protocols.google_generate_content.candidate import CandidateReader
from plugins.protocols.google_generate_content.families import family
from plugins.protocols.google_generate_content.frames import Item, Items
from plugins.protocols.google_generate_content.usage import Counts
from plugins.protocols.google_generate_content.words import ID

TIERS: Final = {"standard": "default"}  # the contract's word


class AnswerReader:
    """The objects of one answer to deltas. Knows what has begun, so that only changes are told."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._counts = Counts()
        self._native: Mapping[str, Any] = {}  # the usage object that was counted last
        self._started: Started | None = None
        self._candidates: dict[int, CandidateReader] = {}
        self._blocked: str | None = None
        self._seed = ""

    @property
    def ended(self) -> bool:
        """Whether every candidate has said why it ends, or the prompt was refused."""
        readers = self._candidates.values()
        return all(one.finished for one in readers) if readers else self._blocked is not None

    def read(self, answer: dict[str, Any], raw: bytes) -> list[Delta]:
        """The deltas of an object that reports no failure."""
        out: list[Delta] = []
        if not self._seed:
            self._seed = str(answer.get("responseId") or answer.get("createTime") or raw)
        self._start(answer, out)
        feedback = answer.get("promptFeedback")
        if isinstance(feedback, dict) and isinstance(feedback.get("blockReason"), str):
            self._blocked = feedback["blockReason"]
        candidates = answer.get("candidates")
        for candidate in candidates if isinstance(candidates, list) else ():
            if isinstance(candidate, dict):
                index = candidate.get("index")
                self._candidate(index if isinstance(index, int) else 0).read(candidate, out)
        told = self.facts.usage
        usage = answer.get("usageMetadata")
        if isinstance(usage, dict) and (found := self._counts.add(usage)) is not None:
            self._native, self.facts.usage, told = usage, found, None
        self._learn()
        # Searches are told beside the usage, at times behind it: what a client is shown counts them too.
        if self.facts.usage is not None and self.facts.usage != told:
            out.append(UsageDelta(usage=self.facts.usage, native=self._native))
        return out

    def finish(self) -> list[Delta]:
        """The ends of the candidates; of an answer without any, one that says why."""
        self.facts.complete = True
        if not self._candidates:
            reason: Finish = "content_filter" if self._blocked is not None else "other"
            self.facts.finish = reason
            return [Finished(reason=reason, native=self._blocked)]
        first = min(self._candidates)
        self.facts.finish = self._candidates[first].finish
        return [delta for _, one in sorted(self._candidates.items()) for delta in one.end()]

    def _candidate(self, index: int) -> CandidateReader:
        if (reader := self._candidates.get(index)) is None:
            reader = self._candidates[index] = CandidateReader(index, self._mint)
        return reader

    def _mint(self, choice: int, place: int) -> str:
        """The id of a call that has none: of the answer and the call's place in it."""
        digest = hashlib.blake2b(f"{self._seed} {choice}".encode(), digest_size=6).hexdigest()
        return f"call_{digest}_{place}"

    def _start(self, answer: Mapping[str, Any], out: list[Delta]) -> None:
        usage = answer.get("usageMetadata")
        tier = _text(usage, "serviceTier") if isinstance(usage, dict) else None
        found = Started(
            origin=ID,
            native_id=_text(answer, "responseId"),
            model=_text(answer, "modelVersion"),
            created=_second(answer.get("createTime")),
            service_tier=TIERS.get(tier, tier) if tier is not None else None,
        )
        before = self._started
        started = found if before is None else Started(
            origin=ID,
            native_id=before.native_id or found.native_id,
            model=before.model or found.model,
            created=before.created or found.created,
            service_tier=before.service_tier or found.service_tier,
        )  # fmt: skip
        if started != before:
            self._started = started
            self.facts.native_id, self.facts.service_tier = started.native_id, started.service_tier
            out.append(started)

    def _learn(self) -> None:
        facts, readers = self.facts, self._candidates.values()
        facts.output = any(one.output for one in readers)
        facts.output_estimate = output_tokens(sum(one.size for one in readers))
        if self.ended:
            facts.complete = True
            facts.finish = self._candidates[min(self._candidates)].finish if readers else "content_filter"
        if facts.usage is not None and (searches := self._searches()):
            facts.usage = {**facts.usage, "native_web_search_requests": searches}

    def _searches(self) -> int:
        """Searches as they are billed."""
        queries = sum(len(one.sources.queries) for one in self._candidates.values())
        model = self._started.model if self._started is not None else None
        return queries if family(model or "").searches == "query" else min(queries, 1)


class AnswerDecoder(Decoder):
    """The bytes of an answer to deltas, whatever its shape. A malformed object is counted and passed over."""

    def __init__(self, *, stream: bool) -> None:
        self.facts = Facts()
        self._stream = stream
        self._items = Items()
        self._reader = AnswerReader(self.facts)

    @override
    def feed(self, data: bytes) -> list[Delta]:
        return [delta for item in self._items.feed(data) for delta in self._read(item)]

    @override
    def close(self) -> list[Delta]:
        out = [delta for item in self._items.close() for delta in self._read(item)]
        facts = self.facts
        if facts.error is not None:
            return out
        if facts.complete or (facts.started and self._items.whole):
            return out + self._reader.finish()
        if not self._stream and not facts.started:
            said = "could not be understood" if facts.skipped else "is empty"
            facts.error = UpstreamError(f"The provider's answer {said}.")
            out.append(Failed(error=facts.error))
        return out

    def _read(self, item: Item) -> list[Delta]:
        facts = self.facts
        if facts.error is not None:
            return []
        answer = decoded(item.data)
        if item.failed or (answer is not None and answer.get("error")):
            facts.error = (
                failure_in_field(item.data) if answer is None else failure(answer.get("error", answer))
            )
            return [Failed(error=facts.error)]
        if answer is None:
            facts.skipped += 1
            return []
        facts.started = True
        return self._reader.read(answer, item.data)


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) and value else None


def _second(stamp: Any) -> int | None:
    """The second of an RFC 3339 time."""
    try:
        return int(datetime.fromisoformat(stamp).timestamp()) if isinstance(stamp, str) else None
    except ValueError:
        return None
