"""HTTP/2 as Hypercorn speaks it, and two ends that it leaves open: broken answers, bodies nobody wants."""

import h2.errors
import h2.events
import h2.exceptions
from hypercorn.protocol.events import Event, StreamClosed
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream
from typing_extensions import override

_BROKEN = h2.errors.ErrorCodes.INTERNAL_ERROR
_ANSWERED = h2.errors.ErrorCodes.NO_ERROR


class Http2(H2Protocol):
    """Every answer ends with its last byte or with a reset; what a client sends behind one is dropped."""

    @override
    async def stream_send(self, event: Event) -> None:
        """An application that returns without the end of its answer has broken it off."""
        if isinstance(event, StreamClosed):
            stream = self.streams.get(event.stream_id)
            if isinstance(stream, HTTPStream) and stream.state is ASGIHTTPState.RESPONSE:
                await self._reset(event.stream_id, _BROKEN)
        await super().stream_send(event)

    @override
    async def _send_data(self, stream_id: int) -> None:
        """Behind an answer that came before the end of its request, say that the rest is not wanted."""
        await super()._send_data(stream_id)
        if stream_id not in self.stream_buffers:
            await self._reset(stream_id, _ANSWERED)

    @override
    async def _handle_events(self, events: list[h2.events.Event]) -> None:
        for event in events:
            if isinstance(event, h2.events.DataReceived) and event.stream_id not in self.streams:
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            else:
                await super()._handle_events([event])
        await self._flush()

    async def _reset(self, stream_id: int, why: h2.errors.ErrorCodes) -> None:
        stream = self.connection.streams.get(stream_id)
        if stream is None or stream.closed:
            return
        try:
            self.connection.reset_stream(stream_id, why)
        except h2.exceptions.ProtocolError:  # the connection has ended
            return
        await self._flush()
