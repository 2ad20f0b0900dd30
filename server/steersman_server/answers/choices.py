"""Several answers that are written side by side."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from steersman_server.answers.answer import Answer, Piece

Part = tuple[int, Piece]


async def pieces_of(answers: Sequence[Answer]) -> AsyncGenerator[Part, None]:
    """The pieces of all answers as they come, each with its answer's index. Closing it cancels all.

    Raises:
        EngineError: The engine failed in one of them.
    """
    if len(answers) == 1:
        async with aclosing(answers[0].pieces()) as pieces:
            async for piece in pieces:
                yield 0, piece
        return
    arrived: asyncio.Queue[Part | None] = asyncio.Queue()

    async def read(index: int) -> None:
        try:
            async with aclosing(answers[index].pieces()) as pieces:
                async for piece in pieces:
                    arrived.put_nowait((index, piece))
        finally:
            arrived.put_nowait(None)

    readers = [asyncio.create_task(read(index)) for index in range(len(answers))]
    try:
        remaining = len(readers)
        while remaining:
            part = await arrived.get()
            if part is not None:
                yield part
                continue
            remaining -= 1
            for reader in readers:
                if reader.done() and not reader.cancelled() and (error := reader.exception()):
                    raise error
    finally:
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
