"""Server-sent events, as they come in (https://html.spec.whatwg.org/multipage/server-sent-events.html).

Everything is bytes: line ends are never inside a UTF-8 character, and the JSON decoder that gets
the data checks its encoding.
"""

from typing import NamedTuple


class Event(NamedTuple):
    """One event; `id` and `retry` are for reconnecting, which no answer can do."""

    data: bytes
    name: str = "message"


class EventDecoder:
    """Takes chunks that were cut anywhere and gives the events that are whole.

    What is not ended by an empty line when the stream ends is no event.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._after_cr = False
        self._data: list[bytes] = []
        self._name = ""

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that `chunk` completes."""
        if not chunk:
            return []
        if self._after_cr:
            chunk = chunk.removeprefix(b"\n")
        self._after_cr = chunk.endswith(b"\r")  # a line end already, even if \n is still to come
        lines = (self._rest + chunk).splitlines(keepends=True)
        ended = not lines or lines[-1].endswith((b"\r", b"\n"))
        self._rest = b"" if ended else lines.pop()
        events = [self._take(line.rstrip(b"\r\n")) for line in lines]
        return [event for event in events if event is not None]

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
        self._data, self._name = [], ""
        return Event(b"\n".join(data), name or "message") if data else None
