"""One soak from start to end: warm up, rounds under faults, kill -9, a last round, SIGTERM."""

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.ports import free_port
from tests.soak.essence import difference, essence
from tests.soak.events import burst, clock, failing, relabelled, swap
from tests.soak.process import ServerProcess
from tests.soak.soak import FAULTY, Event, Soak
from tests.soak.variants import Churn, full_disk, kill_and_restart

DAY_S = 86_400.0
VARIANTS = ("chef", "poet")
AUDIT_LOG, AUDIT_BYTES = "audit.jsonl", 2**20
"""Small, so that it begins anew often."""
MAX_QUEUE = 40
"""Answers that may wait: more than the clients of a round ask at once, fewer than a burst."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What is served, and how long it is asked."""

    arguments: Sequence[str]
    """Of `steersman serve`, without bundle and data folder."""
    bundle: Path
    """A copy of the bundle, whose catalogue may be replaced."""
    work: Path
    """A folder for everything else."""
    per_round: int
    minutes: float
    """At least so long, and at least two rounds."""
    requests: int = 0
    """At least so many."""
    disk: Path | None = None
    """A small file system of its own for the data folder; None: a limit on files stands for it."""
    seed: int = 0


def soak(setup: Setup) -> dict[str, Any]:
    """Run it and give everything that was seen."""
    return asyncio.run(_soak(setup))


async def _soak(setup: Setup) -> dict[str, Any]:
    faults, data = setup.work / "faults", (setup.disk or setup.work) / "data"
    faults.mkdir()
    plain, other = setup.work / "plain.duckdb", setup.work / "relabelled.duckdb"
    plain.write_bytes((setup.bundle / "catalog.duckdb").read_bytes())
    relabelled(plain, other)
    arguments = [*setup.arguments, "--bundle", str(setup.bundle), "--data-dir", str(data)]
    arguments += ["--max-queue", str(MAX_QUEUE), "--audit-log", str(data / AUDIT_LOG)]
    arguments += ["--audit-max-bytes", str(AUDIT_BYTES), "--audit-backups", "2"]
    server = ServerProcess(arguments, faults, free_port())
    running = Soak(server, setup.seed)
    churn = Churn(running)
    try:
        start_s = await asyncio.to_thread(server.start)
        await running.prepare(VARIANTS)
        await running.round(setup.per_round // 2, [])
        with _in_background(churn):
            number = 0
            while number < 2 or not _is_enough(running, setup):
                await running.round(setup.per_round, _events(number, setup, churn, plain, other))
                number += 1
            before_kill = len(running.rounds)
            await running.round(setup.per_round // 2, [kill_and_restart])
        lost_variants = await churn.check()
        await running.round(setup.per_round // 2, [])
        changed = await _changed(running)
        exit_code = await asyncio.to_thread(server.stop)
    finally:
        running.close()
        with contextlib.suppress(AssertionError):
            server.kill()
    torn = torn_records(data)
    return _found(running, churn, start_s, before_kill, lost_variants, changed, exit_code, torn)


def _is_enough(running: Soak, setup: Setup) -> bool:
    long_enough = time.monotonic() - running.began >= 60 * setup.minutes
    return long_enough and sum(each["requests"] for each in running.rounds) >= setup.requests


def _events(number: int, setup: Setup, churn: Churn, plain: Path, other: Path) -> list[Event]:
    """What happens in a round, by its number: two sets in turn."""
    disk = full_disk(churn, setup.disk)
    if number % 2:
        broken = [failing("error", 1), clock(DAY_S), failing("device_memory", 1), failing("memory", 60)]
        return [*broken, disk, burst(2 * MAX_QUEUE)]
    return [
        swap(setup.bundle, other),
        failing("error", 2, "fail_job"),
        clock(-DAY_S),
        failing("device_memory", 60),
        swap(setup.bundle, plain),
        clock(0),
    ]


async def _changed(running: Soak) -> int:
    """How many requests, alone again at the end, are answered otherwise than at the beginning."""
    from tests.soak.clients import Clients

    clients = Clients(running.server.url, running.rng)
    changed = 0
    for number, expected in running.alone.items():
        answer = essence(await clients.ask(running.asks[number]))
        if apart := difference(answer, expected):
            changed += 1
            running.tally.problems.append(f"alone again, {running.asks[number].kind}: {apart}")
    await clients.aclose()
    return changed


def _found(
    running: Soak,
    churn: Churn,
    start_s: float,
    before_kill: int,
    lost_variants: int,
    changed: int,
    exit_code: int,
    torn_records: int,
) -> dict[str, Any]:
    rounds = running.rounds
    half = 1 + before_kill // 2  # of the rounds in one process, the warm-up left out
    early, late = rounds[1:half], rounds[half:before_kill]

    def gained(what: str, of: Any = max) -> float:
        return round(of(each[what] for each in late) - of(each[what] for each in early), 1)

    log = running.server.unexplained_errors()
    return {
        "seconds": round(time.monotonic() - running.began),
        "start_s": round(start_s, 1),
        "requests": sum(running.tally.outcomes.values()),
        "kinds": len({ask.kind for ask in running.asks}),
        "distinct_requests": len(running.asks),
        "outcomes": [
            [kind, outcome, count] for (kind, outcome), count in sorted(running.tally.outcomes.items())
        ],
        **{name: running.tally.total(name) for name in FAULTY},
        "failed by injection": running.tally.total("failed by injection"),
        "told to come back": running.tally.busy,
        "asked again after kill -9": running.tally.asked_again,
        "answered otherwise at the end": changed,
        "variants changed": churn.changes,
        "variants refused on a full disk": churn.refused,
        "audit records lost on a full disk, and counted": churn.unrecorded,
        "torn records in the audit log": torn_records,
        "variants lost": lost_variants,
        "other faults of variants": len(churn.problems) - lost_variants,
        "leaked slots": sum(
            each["slots_used"] + each["queue_length"] + each["jobs_waiting"] for each in rounds
        ),
        "threads gained": gained("threads"),
        "files gained": gained("files"),
        "early memory, MiB": round(median(each["rss_mib"] for each in early), 1),
        "memory gained, MiB": gained("rss_mib", median),
        "unexplained errors in the log": len(log),
        "exit code on SIGTERM": exit_code,
        "rounds": rounds,
        "memory": [[round(at, 1), round(mib, 1)] for at, mib in running.memory],
        "problems": [*running.tally.problems, *churn.problems, *(record[-2000:] for record in log)],
    }


def torn_records(data: Path) -> int:
    """How many lines of the audit log are no JSON."""
    torn = 0
    for path in data.glob(f"{AUDIT_LOG}*"):
        for line in path.read_bytes().splitlines():
            try:
                json.loads(line)
            except ValueError:
                torn += 1
    return torn


@contextlib.contextmanager
def _in_background(churn: Churn) -> Iterator[None]:
    task = asyncio.create_task(churn.run())
    yield
    task.cancel()
