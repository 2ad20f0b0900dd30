"""Server-sent events, as they come in (https://html.spec.whatwg.org/multipage/server-sent-events.html).

Everything is bytes: line ends are never inside a UTF-8 character, and the JSON decoder that gets
the data checks its encoding.
"""

from typing import NamedTuple

from steersman.errors import ResponseError

MAX_EVENT_BYTES = 64 * 2**20
"""Far more than any answer's longest event."""


class Event(NamedTuple):
    """One event; `id` and `retry` are for reconnecting, which no answer can do."""

    data: bytes
    name: str = "message"


class EventDecoder:
    """Takes chunks that were cut anywhere and gives the events that are whole.

    What is not ended by an empty line when the stream ends is no event.
    """

    def __init__(self) -> None:
        self._line: list[bytes] = []  # the parts of one that has not ended
        self._after_cr = False
        self._data: list[bytes] = []
        self._name = ""
        self._held = 0  # bytes of the line and of the event so far

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that `chunk` completes.

        Raises:
            ResponseError: One is longer than MAX_EVENT_BYTES, its end not seen.
        """
        if not chunk:
            return []
        if self._after_cr:
            chunk = chunk.removeprefix(b"\n")
        self._after_cr = chunk.endswith(b"\r")  # a line end already, even if \n is still to come
        events: list[Event] = []
        for part in chunk.splitlines(keepends=True):
            self._line.append(part)
            self._held += len(part)
            if self._held > MAX_EVENT_BYTES:
                raise ResponseError(f"An event of the stream is longer than {MAX_EVENT_BYTES} bytes.")
            if part.endswith((b"\r", b"\n")):
                line = b"".join(self._line).rstrip(b"\r\n")
                self._line.clear()
                event = self._take(line)
                if event is not None:
                    events.append(event)
        return events

    def _take(self, line: bytes) -> Event | None:
        if not line:
            return self._dispatch()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._name = value.decode(errors="replace")
        return None

    def _dispatch(self) -> Event | None:
        data, name = self._data, self._name
        self._data, self._name, self._held = [], "", 0
        return Event(b"\n".join(data), name or "message") if data else None
