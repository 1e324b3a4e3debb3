"""What a job says while it runs, and its last line, which are its facts: `ingest: files=3, events=120, seconds=41.2`."""

import re
from collections.abc import Iterable, Iterator

FACTS = re.compile(r"^(?P<job>\w+): (?P<facts>\w+=.*)$")
DONE_BY_TWIN = re.compile(r"^\w+: (?P<note>done meanwhile by .*)$")
BETWEEN_FACTS = re.compile(r", (?=\w+=)")
SAID_KEPT = 5  # lines of a job in the message of its failure


class Heard:
    """What a job says, line by line: its last facts and its last words."""

    def __init__(self) -> None:
        self.facts: dict[str, str] = {}
        self.words: list[str] = []

    def listen(self, lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            text = line.strip()
            if found := FACTS.match(text):
                self.facts = facts_of(found["facts"])
            elif found := DONE_BY_TWIN.match(text):
                self.facts = {"note": found["note"]}
            self.words = [*self.words, text][-SAID_KEPT:]
            yield line


def facts_of(text: str) -> dict[str, str]:
    """`{"files": "3", "events": "120"}` of `files=3, events=120`."""
    return dict(fact.split("=", 1) for fact in BETWEEN_FACTS.split(text))
