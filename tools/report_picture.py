"""Makes docs/report.png, the top of the demo's report, with a Chromium that is on this machine.

python -m tools.report_picture [report.html]     var/demo/report.html, unless told otherwise
"""

import sys
import tempfile
from pathlib import Path

from PIL import Image

from tools.chromium import BROWSERS, browser, screenshot

PICTURE = Path(__file__).resolve().parents[1] / "docs/report.png"
SIZE = "1280,1900"
COLOURS = 256  # a page of few colours: half the bytes, and no difference to be seen


def main(page: Path) -> None:
    program = browser()
    if program is None:
        sys.exit(f"none of {', '.join(BROWSERS)} is installed: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder, "shot.png")
        screenshot(program, page.resolve().as_uri(), shot, SIZE, "--disable-background-networking")
        with Image.open(shot) as image:
            image.convert("RGB").quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
                PICTURE, optimize=True
            )
    print(f"{PICTURE.name}: {PICTURE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "var/demo/report.html"))
