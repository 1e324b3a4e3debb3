"""What Prometheus is told."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The metrics of one service; their names begin with `footfall_`."""

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        self.requests = Counter("footfall_requests", "answered requests", ("path", "status"), registry=own)
        self.seconds = Histogram(
            "footfall_request_seconds",
            "from the request's head to the answer",
            ("path",),
            buckets=SECONDS,
            registry=own,
        )
        self.rows = Histogram(
            "footfall_batch_rows", "questions answered together", buckets=ROWS, registry=own
        )
        self.scoring = Histogram(
            "footfall_batch_seconds", "that a model took for a batch", buckets=SECONDS, registry=own
        )
        self.waiting = Gauge("footfall_waiting", "questions in the queue", registry=own)
        self.champion = Gauge("footfall_champion_version", "version in service", ("task",), registry=own)
        self.changes = Counter("footfall_champion_changes", "champions taken up", ("task",), registry=own)
        self.day = Gauge(
            "footfall_published_day_seconds", "the published night, as seconds since 1970", registry=own
        )
        self.failures = Counter(
            "footfall_watch_failures",
            "looks at the registry or the published night that failed",
            ("of",),
            registry=own,
        )
        self.last_seen = Gauge(
            "footfall_watch_success_seconds", "time of the last look that did not", ("of",), registry=own
        )

    def answered(self, path: str, status: int, seconds: float) -> None:
        self.requests.labels(path, status).inc()
        self.seconds.labels(path).observe(seconds)

    def batch(self, rows: int, seconds: float) -> None:
        self.rows.observe(rows)
        self.scoring.observe(seconds)

    def watch_queue(self, length: Callable[[], int]) -> None:
        self.waiting.set_function(length)

    def text(self) -> bytes:
        return generate_latest(self.registry)
