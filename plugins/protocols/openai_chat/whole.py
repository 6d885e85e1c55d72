"""Pass-through of a whole answer: the upstream's own JSON, with the splices of architecture 14.1."""

from typing_extensions import override

from plugin_sdk.errors import UpstreamError
from plugin_sdk.json_object import AnswerObject
from plugin_sdk.protocol import END, Answer, Facts, Piece, ResponseStream
from plugin_sdk.sse import Event
from plugins.protocols.openai_chat.chunk import Splices, decoded, spliced
from plugins.protocols.openai_chat.errors import failure_in
from plugins.protocols.openai_chat.tap import Tap


class WholeSplice(ResponseStream):
    """The upstream's body on its way to a client of the same protocol; nothing leaves before it is whole."""

    def __init__(self, answer: Answer) -> None:
        self.facts = Facts()
        self._answer = answer
        self._parts: list[bytes] = []

    @override
    def feed(self, data: bytes) -> list[Piece]:
        self._parts.append(data)
        return []

    @override
    def close(self) -> list[Piece]:
        body = b"".join(self._parts)
        answer = decoded(body)
        facts = self.facts
        if answer is None:
            said = "is empty" if not body.strip() else "is not a JSON object"
            facts.error = UpstreamError(f"The provider's answer {said}.")
            return []
        facts.error = failure_in(answer)
        Tap(facts).read(answer)
        if facts.error is not None:
            return []
        facts.started = facts.complete = True
        if facts.finish is None:
            facts.finish = "other"
        if self._answer.exact:
            return [END, body]
        top = AnswerObject(body)
        splices = Splices(self._answer).of(top, answer, facts)
        return [END, *spliced(Event(body, body, lines=((0, 0),)), top, splices)]
