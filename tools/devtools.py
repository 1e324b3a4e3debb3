"""A headless Chromium, told what to do over its DevTools protocol by a pair of pipes: no package is needed for that."""

import base64
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tools.chromium import browser

FOUND = browser()


class Page:
    """One page of it."""

    def __init__(self, commands: int, answers: int):
        self.commands, self.answers, self.number, self.session = commands, answers, 0, ""
        self.rest = b""
        self.complaints: list[str] = []  # errors of scripts, and what the page was not allowed to load

    def tell(self, method: str, **params: Any) -> dict[str, Any]:
        self.number += 1
        asked = {"id": self.number, "method": method, "params": params}
        if self.session:
            asked["sessionId"] = self.session
        os.write(self.commands, json.dumps(asked).encode() + b"\0")
        while (answer := self._next()).get("id") != self.number:
            if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.complaints.append(json.dumps(answer["params"]))
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            read = os.read(self.answers, 1 << 20)
            if not read:
                raise RuntimeError("the browser has ended")
            self.rest += read
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def run(self, script: str) -> Any:
        """The value of a script, awaited."""
        done = self.tell("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in done:
            raise RuntimeError(json.dumps(done["exceptionDetails"]))
        return done["result"].get("value")

    def until(self, script: str, seconds: float = 90) -> Any:
        """The value of a script once it is true; raises `AssertionError` with what the page says instead."""
        last, said = time.monotonic() + seconds, ""
        while True:
            try:
                if value := self.run(script):
                    return value
            except RuntimeError as error:  # a page that sends the browser on takes its scripts with it
                said = str(error)
            assert time.monotonic() < last, (
                f"{script} did not come true: {said or self.run('document.body?.innerText')}"
            )
            time.sleep(0.1)

    def picture(self) -> bytes:
        return base64.b64decode(self.tell("Page.captureScreenshot", captureBeyondViewport=True)["data"])


@contextmanager
def page(url: str, size: str = "1240,1180", dark: bool = False) -> Iterator[Page]:
    """Within it the page is open; it can reach nothing but this machine."""
    assert FOUND is not None
    to_browser, commands = os.pipe()
    answers, from_browser = os.pipe()

    def as_three_and_four() -> None:
        os.dup2(to_browser, 1000)  # one of them may be 3 or 4 itself
        os.dup2(from_browser, 1001)
        os.dup2(1000, 3)
        os.dup2(1001, 4)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"]
        flags += ["--disable-background-networking", "--disable-dev-shm-usage", "--remote-debugging-pipe"]
        flags += [
            f"--user-data-dir={folder}",
            f"--window-size={size}",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        ]
        process = subprocess.Popen(
            [FOUND, *flags, "about:blank"],
            preexec_fn=as_three_and_four,
            close_fds=False,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        try:
            opened = Page(commands, answers)
            target = opened.tell("Target.createTarget", url="about:blank")["targetId"]
            opened.session = opened.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log"):
                opened.tell(f"{domain}.enable")
            if dark:
                scheme = {"name": "prefers-color-scheme", "value": "dark"}
                opened.tell("Emulation.setEmulatedMedia", features=[scheme])
            opened.tell("Page.navigate", url=url)
            yield opened
        finally:
            process.terminate()
            process.wait(30)
            os.close(commands)
            os.close(answers)
