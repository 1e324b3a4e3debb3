"""Pictures of pages, by a Chromium that is on this machine."""

import shutil
import subprocess
import tempfile
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars")


def browser() -> str | None:
    """The path of the first of BROWSERS that is installed; none: there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def screenshot(program: str, url: str, file: Path, size: str, *flags: str) -> None:
    """Writes what the browser `program` shows of a page, with an empty profile; size: `1280,1900`, in pixels.

    Raises as `subprocess.run` does where the browser fails.
    """
    with tempfile.TemporaryDirectory() as profile:
        command = [program, *FLAGS, *flags, f"--user-data-dir={profile}", f"--window-size={size}"]
        subprocess.run([*command, f"--screenshot={file}", url], check=True, capture_output=True)
