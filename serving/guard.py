"""What stands before every route: the key, limits of size and time, and that no trace of ours is in an answer."""

import asyncio
import hmac
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.batcher import Overloaded, Stopped
from serving.metrics import Metrics

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LOG = logging.getLogger(__name__)
LEAST = 16  # characters of a key
GUARDED = "/v1/"  # what needs the key: of the rest nothing tells of a user
LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "testserver")
HEADERS = [
    (b"content-security-policy", b"default-src 'self'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]


class Refused(Exception):
    """A request that is answered with a `Problem` at once."""

    def __init__(self, status: int, error: str, message: str, **headers: str):
        super().__init__(message)
        self.status, self.error, self.headers = status, error, headers


@dataclass(frozen=True)
class Limits:
    max_bytes: int  # of a body
    seconds: float  # until the answer
    keys: "KeyFile | None"  # none: whoever reaches the port may ask
    only_loopback: bool  # else a page of the internet could ask by way of a name that stands for 127.0.0.1


class KeyFile:
    """The API keys in a file, one a line; read again when the file is another."""

    def __init__(self, path: Path):
        self.path, self.stamp = path, 0
        self.keys: list[bytes] = []
        if not self.read():
            raise ValueError(
                f"{path} holds no key: put one of {LEAST} characters or more into it, as `openssl rand -hex 32` makes"
            )

    def read(self) -> list[bytes]:
        try:
            stamp = self.path.stat().st_mtime_ns
            if stamp != self.stamp:
                lines = self.path.read_bytes().splitlines()
                self.keys, self.stamp = [key for line in lines if len(key := line.strip()) >= LEAST], stamp
        except OSError as error:
            LOG.error("the API keys are those of before: %s", error)
        return self.keys

    def admits(self, given: bytes) -> bool:
        """Compared with each key, in a time that tells nothing of them."""
        return any([hmac.compare_digest(key, given) for key in self.read()])


class Guard:
    """An ASGI application around another."""

    def __init__(
        self, app: Callable[[Scope, Receive, Send], Awaitable[None]], limits: Limits, metrics: Metrics
    ):
        self.app, self.limits, self.metrics = app, limits, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500
        has_begun = False

        async def sent(message: MutableMapping[str, Any]) -> None:
            nonlocal status, has_begun
            if message["type"] == "http.response.start":
                status, has_begun = message["status"], True
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        try:
            try:
                async with asyncio.timeout(self.limits.seconds):
                    self._check(scope)
                    await self.app(scope, await self._whole_body(scope, receive), sent)
            except Exception as error:
                if has_begun:
                    raise
                await _answer(sent, as_refused(error, self.limits))
        finally:
            path = getattr(scope.get("route"), "path", "other")
            self.metrics.answered(path, status, time.perf_counter() - began)

    def _check(self, scope: Scope) -> None:
        headers = dict(scope["headers"])
        if self.limits.only_loopback:
            host = re.sub(r":\d*$", "", headers.get(b"host", b"").decode("latin-1"))
            if host not in LOOPBACK:
                raise Refused(
                    421, "wrong_host", f"asked as {host!r}: expected one of {', '.join(LOOPBACK[:3])}"
                )
        if self.limits.keys and scope["path"].startswith(GUARDED):
            given = headers.get(b"x-api-key") or headers.get(b"authorization", b"").removeprefix(b"Bearer ")
            if not self.limits.keys.admits(given):
                raise Refused(
                    401,
                    "no_key",
                    "the API key is missing or another: send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`",
                    **{"www-authenticate": "Bearer"},
                )

    async def _whole_body(self, scope: Scope, receive: Receive) -> Receive:
        """The body, read here up to the limit, as one message."""
        most = self.limits.max_bytes
        told = dict(scope["headers"]).get(b"content-length", b"0")
        parts, size, more = [], int(told) if told.isdigit() else 0, True
        if size <= most:
            size = 0
            while more and size <= most:
                message = await receive()
                if message["type"] == "http.disconnect":
                    break
                parts.append(message.get("body", b""))
                size, more = size + len(parts[-1]), message.get("more_body", False)
        if size > most:
            raise Refused(
                413,
                "too_large",
                f"the request has more than {most} bytes: send fewer events, or raise serve.max_bytes",
                connection="close",
            )
        body: list[MutableMapping[str, Any]] = [
            {"type": "http.request", "body": b"".join(parts), "more_body": False}
        ]

        async def replayed() -> MutableMapping[str, Any]:
            return body.pop() if body else await receive()

        return replayed


def as_refused(error: Exception, limits: Limits) -> Refused:
    """What is said of an error: all of one that is meant for who asked, nothing of any other."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, Overloaded):
        return Refused(503, "overloaded", f"{error}: ask again in 1 s", **{"retry-after": "1"})
    if isinstance(error, Stopped):
        return Refused(503, "stopping", f"{error}: ask again in 5 s", **{"retry-after": "5"})
    if isinstance(error, TimeoutError):
        return Refused(
            503,
            "too_late",
            f"no answer within {limits.seconds:g} s: ask again in 1 s",
            **{"retry-after": "1"},
        )
    LOG.error("a request failed", exc_info=error)
    return Refused(500, "failed", "the service failed to answer: its log says why")


async def _answer(send: Send, refused: Refused) -> None:
    body = json.dumps({"error": refused.error, "message": str(refused)}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(name.encode(), value.encode()) for name, value in refused.headers.items()]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
