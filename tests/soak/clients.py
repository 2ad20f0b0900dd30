# Bodies are made up, and what is in them has no type.
# pyright: reportArgumentType=false, reportCallIssue=false, reportGeneralTypeIssues=false
"""Clients of every kind: they ask as told, and give what came back as `essence` compares it."""

import asyncio
import json
import random
import socket
from typing import Any

import httpx
from openai import APIError, AsyncOpenAI
from tests.soak.asks import Ask
from tests.soak.essence import BrokenStreamError, StreamError, joined

import steersman

TIMEOUT_S = 240
MAX_BUSY = 200
"""So often a client comes back when it is told that the server is busy."""
SMALL_BUFFER = [(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)]


class HTTPError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: str, answer: Any) -> None:
        super().__init__(f"{status} {code}: {answer}")
        self.status, self.code = status, code


class Left(Exception):
    """The client left, as it was to do."""


class Clients:
    """One for each kind, on one server. Leaves nothing open when it is closed."""

    def __init__(self, url: str, rng: random.Random) -> None:
        self._rng = rng
        self._limits = httpx.Limits(max_connections=None)
        self.http = httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, limits=self._limits)
        transport = httpx.AsyncHTTPTransport(socket_options=SMALL_BUFFER, limits=self._limits)
        self.slow = httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, transport=transport)
        self.openai = AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=TIMEOUT_S)
        self.sdk = steersman.AsyncClient(url, max_retries=0, timeout=TIMEOUT_S)
        self.num_busy = 0

    async def aclose(self) -> None:
        """Close every connection."""
        await self.http.aclose()
        await self.slow.aclose()
        await self.sdk.close()
        await self.openai.close()

    async def ask(self, ask: Ask) -> Any:
        """The answer, after as many tries as a busy server wants.

        Raises:
            HTTPError: The server refused or failed.
            Left: The client left before the end.
            StreamError, BrokenStreamError: The stream ended with an error, or not as it should.
            httpx.HTTPError, OSError: The connection failed.
        """
        for _ in range(MAX_BUSY):
            try:
                return await self._once(ask)
            except HTTPError as error:
                if error.status != 429:
                    raise
                self.num_busy += 1
                await asyncio.sleep(self._rng.uniform(0.5, 1.5))
        raise HTTPError(429, "engine_busy", f"{MAX_BUSY} times in a row")

    async def _once(self, ask: Ask) -> Any:
        match ask.how:
            case "whole":
                return await self._whole(ask)
            case "stream":
                return await self._stream(ask, self.http, pause_s=0, most=None)
            case "slow":
                return await self._stream(ask, self.slow, pause_s=0.1, most=None)
            case "leave_stream":
                return await self._stream(ask, self.http, pause_s=0, most=self._rng.randrange(1, 12))
            case "leave":
                try:
                    async with asyncio.timeout(self._rng.uniform(0.02, 2)):
                        return await self._whole(ask)
                except TimeoutError:
                    raise Left from None
            case "openai":
                return await self._openai(ask)
            case "sdk":
                return await self._sdk(ask)

    async def _whole(self, ask: Ask) -> Any:
        if ask.body is None:
            answer = await self.http.get(ask.path)
        else:
            answer = await self.http.post(ask.path, json=ask.body)
        return _checked(answer)

    async def _stream(self, ask: Ask, client: httpx.AsyncClient, *, pause_s: float, most: int | None) -> Any:
        assert ask.body is not None
        body = ask.body | {"stream": True, "stream_options": {"include_usage": True}}
        async with client.stream("POST", ask.path, json=body) as answer:
            if answer.status_code != 200:
                await answer.aread()
                _checked(answer)
            read = bytearray()
            size = None if pause_s == 0 else 2048
            async for number, piece in _numbered(answer.aiter_bytes(size)):
                if number == most:
                    raise Left
                read += piece
                await asyncio.sleep(pause_s)
            return joined(bytes(read))

    async def _openai(self, ask: Ask) -> Any:
        body = dict(ask.body or {})
        extra = {name: body.pop(name) for name in ("feature_edits",)}
        try:
            model = (await self.openai.models.list()).data[0].id
            stream = await self.openai.chat.completions.create(
                model=model, stream=True, extra_body=extra, **body
            )
            return await _read(stream)
        except Exception as error:
            raise _as_ours(error) from error

    async def _sdk(self, ask: Ask) -> Any:
        try:
            async with await self.sdk.chat.completions.create(stream=True, **(ask.body or {})) as stream:
                return await _read(stream)
        except Exception as error:
            raise _as_ours(error) from error


async def _read(stream: Any) -> dict[str, str | None]:
    """What a stream of either package says."""
    text, finish = "", None
    async for chunk in stream:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
    return {"text": text, "finish": finish}


def _checked(answer: httpx.Response) -> Any:
    if answer.status_code < 400:
        return answer.json() if answer.content else None
    try:
        code = answer.json()["error"]["code"]
    except (json.JSONDecodeError, KeyError, TypeError):
        code = "no error envelope"
    if answer.status_code == 429 and "retry-after" not in answer.headers:
        code = "no Retry-After"
    raise HTTPError(answer.status_code, code, answer.text[:500])


def _as_ours(error: Exception) -> Exception:
    """A library's error as the other clients have it."""
    status = getattr(error, "status_code", None)
    if status is not None:
        return HTTPError(status, str(getattr(error, "code", None)), str(error)[:500])
    if isinstance(error.__cause__, httpx.HTTPError):
        return error.__cause__
    if isinstance(error, steersman.APIConnectionError):
        return BrokenStreamError(str(error))
    return StreamError(str(error)) if isinstance(error, steersman.StreamError | APIError) else error


async def _numbered(pieces: Any) -> Any:
    number = 0
    async for piece in pieces:
        yield number, piece
        number += 1
