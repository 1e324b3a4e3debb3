"""A small client that asks at a fixed rate, whether answers come or not: an open loop.

An answer's latency counts from when its question was to be sent. Were it counted from when it was sent, a service that
stalls would be asked less meanwhile, and the stall would not show ("coordinated omission").

    python -m benchmarks.serve_load HOST PORT PATH RATE SECONDS BODIES.jsonl        prints its facts as JSON
"""

import asyncio
import json
import sys
import time
from collections import Counter, deque
from pathlib import Path
from typing import cast

import numpy as np
import uvloop

MOST_CONNECTIONS = 256
LATE = 10.0  # seconds after the last question for which answers are waited for


class Connection(asyncio.Protocol):
    """One kept connection with a question under way, or none."""

    def __init__(self, load: "Load"):
        self.load, self.due, self.received = load, 0.0, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def ask(self, due: float, request: bytes) -> None:
        self.due, self.received = due, b""
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(body) >= length:
            self.load.answered(self, int(head[9:12]))

    def connection_lost(self, error: Exception | None) -> None:
        self.load.lost(self)


class Load:
    """Questions at a fixed rate over as many connections as that takes."""

    def __init__(self, host: str, port: int, path: str, bodies: list[bytes]):
        self.host, self.port = host, port
        head = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\nContent-Length: "
        self.requests = [f"{head}{len(body)}\r\n\r\n".encode() + body for body in bodies]
        self.free: list[Connection] = []
        self.waiting: deque[tuple[float, bytes]] = deque()  # due, for want of a connection
        self.connections = 0
        self.statuses, self.latencies = Counter[int](), list[float]()

    async def run(self, rate: float, seconds: float) -> None:
        loop, count = asyncio.get_running_loop(), int(rate * seconds)
        for _ in range(min(16, MOST_CONNECTIONS)):
            await self._connect()
        began = time.monotonic() + 0.1
        for number in range(count):
            due = began + number / rate
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            request = self.requests[number % len(self.requests)]
            if self.free:
                self.free.pop().ask(due, request)
            else:
                self.waiting.append((due, request))
                if self.connections < MOST_CONNECTIONS:
                    self.connections += 1
                    loop.create_task(self._connect(is_counted=True))
        last = time.monotonic() + LATE
        while sum(self.statuses.values()) < count and time.monotonic() < last:
            await asyncio.sleep(0.05)

    async def _connect(self, is_counted: bool = False) -> None:
        self.connections += not is_counted
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Connection(self), self.host, self.port)
        self._go_on(connection)

    def _go_on(self, connection: Connection) -> None:
        if self.waiting:
            connection.ask(*self.waiting.popleft())
        else:
            self.free.append(connection)

    def answered(self, connection: Connection, status: int) -> None:
        self.statuses[status] += 1
        if status == 200:
            self.latencies.append(
                time.monotonic() - connection.due
            )  # the loop's own clock goes by milliseconds
        self._go_on(connection)

    def lost(self, connection: Connection) -> None:
        self.connections -= 1
        if connection in self.free:
            self.free.remove(connection)


def main(host: str, port: str, path: str, rate: str, seconds: str, bodies: str) -> None:
    load = Load(host, int(port), path, Path(bodies).read_bytes().splitlines())
    began = time.process_time()
    uvloop.run(load.run(float(rate), float(seconds)))
    milliseconds = np.array(load.latencies or [np.nan]) * 1e3
    asked = int(float(rate) * float(seconds))
    facts = {
        "rate": float(rate),
        "asked": asked,
        "answered": load.statuses[200],
        "refused": sum(load.statuses.values()) - load.statuses[200],
        "unanswered": asked - sum(load.statuses.values()),
        **{f"p{p}_ms": round(float(np.percentile(milliseconds, p)), 2) for p in (50, 90, 99)},
        "client_cpu": round((time.process_time() - began) / float(seconds), 2),
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main(*sys.argv[1:])
