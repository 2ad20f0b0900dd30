"""Rounds of mixed requests at twice the server's capacity, each answer held to what it was alone."""

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import httpx
from tests.soak.asks import POISON, Ask, chat, make_asks
from tests.soak.clients import Clients, HTTPError, Left
from tests.soak.essence import BrokenStreamError, StreamError, difference, essence, labels
from tests.soak.process import ServerProcess

MARK = " ★"
"""Ends every label of the other catalogue."""
GRACE_S = 2.0
"""An injected fault may show so long after its last pass."""
IDLE_S = 60
LOST, CROSSED, FAILED, MISREFUSED, TORN = "lost", "crossed", "unexplained 5xx", "wrongly refused", "torn"
FAULTY = (LOST, CROSSED, FAILED, MISREFUSED, TORN)
"""Outcomes that must not be."""
POOL_THREADS = 4
"""So many more an event loop's pool has when it was needed whole: six on two cores, of which few begin."""
HELD = ("slots_used", "queue_length", "jobs_waiting")
"""What an idle server must have none of."""
Event = Callable[["Soak"], Awaitable[None]]


@dataclass(slots=True)
class Window:
    """A time in which something was broken on purpose."""

    what: str
    began: float
    ended: float = float("inf")


@dataclass(slots=True)
class Tally:
    """What came of the requests."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    asked_again: int = 0
    busy: int = 0

    def total(self, *outcomes: str) -> int:
        """Requests with one of these outcomes."""
        return sum(count for (_, outcome), count in self.outcomes.items() if outcome in outcomes)


class Soak:
    """One server under load, and all that was seen of it."""

    def __init__(self, server: ServerProcess, seed: int) -> None:
        self.server = server
        self.rng = random.Random(seed)
        self.tally = Tally()
        self.windows: list[Window] = []
        self.rounds: list[dict[str, Any]] = []
        self.memory: list[tuple[float, float]] = []
        self.began = time.monotonic()
        self.asks: list[Ask] = []
        self.alone: dict[int, Any] = {}
        self.ready = asyncio.Event()
        self.ready.set()
        self.killed = self.disk_is_full = False
        self.done = 0
        self._sampling = threading.Event()
        threading.Thread(target=self._sample, daemon=True).start()

    async def prepare(self, variants: Sequence[str]) -> None:
        """Learn what the server serves, and what each request is answered when it is alone."""
        clients = Clients(self.server.url, self.rng)
        model = (await clients.http.get("/v1/models")).json()["data"][0]["id"]
        listed = (await clients.http.get("/v1/features?limit=100")).json()["data"]
        live = [each["index"] for each in listed if each["h_max"] > 0 and not each.get("refused")]
        for number, name in enumerate(variants):
            edits = [{"feature": live[number], "strength": 0.7}]
            made = await clients.http.post("/v1/variants", json={"name": name, "feature_edits": edits})
            assert made.is_success, made.text
        self.asks = [*make_asks(self.rng, live, model, variants), await self._poisoned(clients)]
        for number, ask in enumerate(self.asks):
            if ask.refused is None and not ask.how.startswith("leave"):
                how = "whole" if ask.how in ("stream", "slow") else ask.how
                self.alone[number] = essence(await clients.ask(replace(ask, how=how)))
        await clients.aclose()

    async def round(self, num_requests: int, events: Sequence[Event]) -> None:
        """Ask at twice the capacity, so often and until the events are over; then look for leaks."""
        clients = Clients(self.server.url, self.rng)
        numbers, weights = range(len(self.asks)), [ask.weight for ask in self.asks]
        begun, over, began = 0, False, time.monotonic()
        self.done = 0
        slots = int((await asyncio.to_thread(self.server.metrics))["steersman_slots"])

        async def work() -> None:
            nonlocal begun
            while begun < num_requests or not over:
                begun += 1
                (number,) = self.rng.choices(numbers, weights)
                outcome = await self._judge(clients, number)
                self.tally.outcomes[self.asks[number].kind, outcome] += 1
                self.done += 1

        async def happen() -> None:
            nonlocal over
            for number, event in enumerate(events):
                while self.done < num_requests * (number + 0.5) / len(events):
                    await asyncio.sleep(0.01)
                await event(self)
            over = True

        await asyncio.gather(*(work() for _ in range(2 * slots)), happen())
        took = time.monotonic() - began
        self.tally.busy += clients.num_busy
        await clients.aclose()
        held = await asyncio.to_thread(self._idle)
        self.rounds.append({"requests": self.done, "clients": 2 * slots, "seconds": round(took, 1)} | held)
        print(f"round {len(self.rounds)}: {self.rounds[-1]}, faults: {len(self.tally.problems)}", flush=True)

    async def ask_at_once(self, count: int) -> None:
        """So many requests that must be answered, all at the same time."""
        clients = Clients(self.server.url, self.rng)
        numbers = [number for number, ask in enumerate(self.asks) if ask.kind in ("plain", "edits")]
        chosen = [numbers[each % len(numbers)] for each in range(count)]
        outcomes = await asyncio.gather(*(self._judge(clients, number) for number in chosen))
        self.tally.outcomes.update(("burst", outcome) for outcome in outcomes)
        self.tally.busy += clients.num_busy
        await clients.aclose()

    async def watch(self, what: str, during: Callable[[], Awaitable[None]]) -> None:
        """Let `during` break something; what fails meanwhile is explained."""
        window = Window(what, time.monotonic())
        self.windows.append(window)
        await during()
        window.ended = time.monotonic() + GRACE_S

    def close(self) -> None:
        """Stop to sample memory."""
        self._sampling.set()

    async def _poisoned(self, clients: Clients) -> Ask:
        """A request on which the engine raises, always; it tells the faulty server which token does it."""
        for text in POISON:
            body = {"messages": [{"role": "user", "content": text}]}
            answer = (await clients.http.post("/tokenize", json=body)).json()
            ids = answer["tokens"]
            for at in range(len(ids) - 3):
                if len(set(ids[at : at + 4])) == 1:
                    (self.server.faults / "poison").write_text(str(ids[at]))
                    return Ask("poisoned", body=chat(text, 4), refused=(500, "internal_error"), weight=2)
        raise AssertionError("No text has a token four times in a row.")

    async def _judge(self, clients: Clients, number: int) -> str:
        """Ask one request until it is answered; what came of it."""
        ask = self.asks[number]
        while True:
            began = time.monotonic()
            try:
                return self._compared(number, await clients.ask(ask))
            except Left:
                return "left"
            except (HTTPError, StreamError, BrokenStreamError, httpx.HTTPError, OSError) as error:
                if self._overlaps(began, "kill") and not self._is_refusal(ask, error):
                    self.tally.asked_again += 1
                    await self.ready.wait()
                    continue
                return self._blamed(ask, error, began)

    def _compared(self, number: int, answer: Any) -> str:
        ask = self.asks[number]
        if ask.how.startswith("leave"):
            return "left"
        if ask.refused:
            return self._note(MISREFUSED, ask, f"answered, not {ask.refused}")
        if len({label.endswith(MARK) for label in labels(answer) if label != "no label"}) > 1:
            return self._note(TORN, ask, "labels of two catalogues in one answer")
        if apart := difference(essence(answer), self.alone[number]):
            return self._note(CROSSED, ask, apart)
        return "answered"

    def _blamed(self, ask: Ask, error: Exception, began: float) -> str:
        if self._is_refusal(ask, error):
            return "refused"
        if isinstance(error, HTTPError) and error.status < 500:
            if ask.kind == "variant" and error.status == 400 and self._overlaps(began, "swap"):
                return "refused"  # it names the features of the other catalogue
            return self._note(MISREFUSED, ask, str(error))
        if isinstance(error, HTTPError | StreamError):
            if self._overlaps(began, "fail"):
                return "failed by injection"
            return self._note(FAILED, ask, str(error))
        return self._note(LOST, ask, f"{type(error).__name__}: {error}")

    def _is_refusal(self, ask: Ask, error: Exception) -> bool:
        return isinstance(error, HTTPError) and (error.status, error.code) == ask.refused

    def _overlaps(self, began: float, what: str) -> bool:
        return any(each.what == what and each.ended >= began for each in self.windows)

    def _note(self, outcome: str, ask: Ask, what: str) -> str:
        self.tally.problems.append(
            f"{time.monotonic() - self.began:.0f} s, {ask.kind}: {outcome}: {what}"[:800]
        )
        return outcome

    def _idle(self) -> dict[str, Any]:
        """What the server holds when nobody asks any more, and what was left has had time to go."""
        until = time.monotonic() + IDLE_S
        while True:
            time.sleep(1)  # connections close
            counts = self.server.metrics()
            held = {name: int(counts[f"steersman_{name}"]) for name in HELD}
            usage = asdict(self.server.usage())
            is_back = not self.rounds or usage["threads"] <= self.rounds[0]["threads"] + POOL_THREADS
            if (is_back and not any(held.values())) or time.monotonic() > until:
                return held | usage

    def _sample(self) -> None:
        while not self._sampling.wait(1):
            try:
                self.memory.append((time.monotonic() - self.began, self.server.usage().rss_mib))
            except (OSError, AssertionError, KeyError):
                continue  # between two processes
