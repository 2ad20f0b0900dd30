"""What is broken while the clients ask, and what must come of it."""

import asyncio
import json
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
from tests.soak.soak import MARK, Event, Soak

from steersman_catalog.rows import LabelRow
from steersman_catalog.writer import CatalogWriter
from steersman_engine.bundle import CATALOG_FILE, MANIFEST, sha256_of

WAIT_S = 180


def failing(error: str, count: int, name: str = "fail") -> Event:
    """So many forward passes, or jobs (`fail_job`), raise."""

    async def event(soak: Soak) -> None:
        async def during() -> None:
            path = soak.server.faults / name
            await until(lambda: not path.exists(), "an earlier fault is over")
            part = path.with_suffix(".part")
            part.write_text(f"{error} {count}")
            part.rename(path)
            await until(lambda: not path.exists(), f"{count} x {error} was raised")

        await soak.watch("fail", during)

    return event


def clock(off_s: float) -> Event:
    """The wall clock jumps."""

    async def event(soak: Soak) -> None:
        part = soak.server.faults / "clock.part"
        part.write_text(str(off_s))
        part.rename(soak.server.faults / "clock")

    return event


def swap(bundle: Path, catalog: Path) -> Event:
    """The catalogue of the bundle that is served is replaced, and the server told."""

    async def event(soak: Soak) -> None:
        marked = catalog.stem.endswith("relabelled")

        async def during() -> None:
            part = bundle / "part"
            shutil.copyfile(catalog, part)
            part.rename(bundle / CATALOG_FILE)
            manifest = json.loads((bundle / MANIFEST).read_text())
            part.write_text(json.dumps(manifest | {"catalog_sha256": sha256_of(bundle / CATALOG_FILE)}))
            part.rename(bundle / MANIFEST)
            soak.server.renew()
            async with httpx.AsyncClient(base_url=soak.server.url, timeout=WAIT_S) as client:

                async def is_new() -> bool:
                    label = (await client.get("/v1/features/0")).json()["label"]
                    return label.endswith(MARK) is marked

                await until(is_new, "the other catalogue is served")

        if marked:
            await soak.watch("swap", during)
            soak.windows[-1].ended = float("inf")
        else:
            await during()
            for window in soak.windows:
                if window.what == "swap":
                    window.ended = min(window.ended, time.monotonic())

    return event


def burst(count: int) -> Event:
    """So many ask at the same time, more than may wait; who is told to come back is answered later."""

    async def event(soak: Soak) -> None:
        busy = soak.tally.busy
        await soak.ask_at_once(count)
        assert soak.tally.busy > busy, f"{count} requests at once, and none was told to come back."

    return event


def relabelled(catalog: Path, out: Path) -> None:
    """Write the same catalogue with a mark behind every label."""
    with CatalogWriter.copy(catalog) as writer:
        writer.db.execute(f"UPDATE {LabelRow.table} SET text = text || $mark WHERE shown", {"mark": MARK})
        writer.publish(out)


async def until(holds: Callable[[], bool | Awaitable[bool]], what: str) -> None:
    """Wait for something.

    Raises:
        TimeoutError: It did not come in a minute.
    """
    for _ in range(int(WAIT_S / 0.02)):
        found = holds()
        if found if isinstance(found, bool) else await found:
            return
        await asyncio.sleep(0.02)
    raise TimeoutError(f"After {WAIT_S} s it still is not so that {what}.")
