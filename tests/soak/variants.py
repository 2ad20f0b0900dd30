"""Variants that come and go under load: what was answered is so, on a full disk and after kill -9 too."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from tests.soak.events import until
from tests.soak.soak import Event, Soak

EDIT = {"feature_edits": [{"feature": 0, "strength": 0.5}]}
FULL = (507, "storage_failed")
PAUSE_S = 0.1


@dataclass(slots=True)
class Churn:
    """A client that makes and deletes variants one after another, and knows which there are."""

    soak: Soak
    there: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)
    """Those for which an answer is missing: they may be there or not."""
    changes: int = 0
    refused: int = 0
    """Changes refused because the disk is full."""
    unrecorded: int = 0
    """Records of the audit log that were lost meanwhile, and counted."""
    problems: list[str] = field(default_factory=list)

    async def run(self) -> None:
        """Go on until cancelled."""
        number = 0
        async with httpx.AsyncClient(base_url=self.soak.server.url, timeout=60) as client:
            while True:
                number += 1
                await self.soak.ready.wait()
                name = f"churn-{number}"
                made = await self._try(client, "POST", "/v1/variants", name, EDIT | {"name": name})
                if made:
                    self.there.add(name)
                if made and number % 10 and await self._try(client, "DELETE", f"/v1/variants/{name}", name):
                    self.there.discard(name)
                await asyncio.sleep(PAUSE_S)

    async def check(self) -> int:
        """How many variants are lost, or there against what was answered."""
        async with httpx.AsyncClient(base_url=self.soak.server.url, timeout=60) as client:
            listed = (await client.get("/v1/variants")).json()["data"]
        found = {each["name"] for each in listed if each["name"].startswith("churn-")} - self.unsure
        wrong = found ^ (self.there - self.unsure)
        self.problems += [f"{name} is {'there' if name in found else 'lost'}" for name in sorted(wrong)]
        return len(wrong)

    async def _try(
        self, client: httpx.AsyncClient, method: str, path: str, name: str, body: object = None
    ) -> bool:
        self.unsure.add(name)
        try:
            answer = await client.request(method, path, json=body)
        except (httpx.HTTPError, OSError):
            if not self.soak.killed:
                self.problems.append(f"{method} {path}: no answer")
            return False
        self.unsure.discard(name)
        if answer.is_success:
            self.changes += 1
            return True
        if (answer.status_code, answer.json()["error"]["code"]) == FULL and self.soak.disk_is_full:
            self.refused += 1
        elif answer.status_code != 503:
            self.problems.append(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return False


def full_disk(churn: Churn, disk: Path | None) -> Event:
    """No variant can be written for a while; reading and answering go on.

    `disk`: the folder of a small file system of its own, which is filled; None: the process may let no
    file grow.
    """

    async def event(soak: Soak) -> None:
        soak.disk_is_full = True
        if disk is None:
            soak.server.limit_file_size(1)
        else:
            _fill(disk / "filler")
        before, lost = churn.refused, soak.server.audited("lost")
        await until(lambda: churn.refused > before, "a variant is refused")
        await until(lambda: soak.server.audited("lost") > lost, "a lost record is counted")
        async with httpx.AsyncClient(base_url=soak.server.url, timeout=60) as client:
            assert (await client.get("/v1/variants")).status_code == 200
        if disk is None:
            soak.server.limit_file_size(None)
        else:
            (disk / "filler").unlink()
        churn.unrecorded += soak.server.audited("lost") - lost
        changes, written = churn.changes, soak.server.audited("written")
        await until(lambda: churn.changes > changes, "variants are kept again")
        await until(lambda: soak.server.audited("written") > written, "records are kept again")
        soak.disk_is_full = False

    return event


async def kill_and_restart(soak: Soak) -> None:
    """`kill -9` under load, and start again."""

    async def during() -> None:
        soak.killed = True
        soak.ready.clear()
        await asyncio.to_thread(soak.server.kill)
        await asyncio.to_thread(soak.server.start)
        soak.killed = False
        soak.ready.set()

    await soak.watch("kill", during)


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(b"\0" * size):
                    pass
            except OSError:  # full, to the size of such a piece
                continue
