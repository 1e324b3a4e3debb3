"""SVG by hand: elements whose text and attributes are always escaped, and the round numbers of an axis."""

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape


def tag(name: str, *children: str | Markup, **attributes: str | float | None) -> Markup:
    """One element. `class_` stands for `class`, `_` within a name for `-`; None leaves an attribute out."""
    written = "".join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _short(value))
        for key, value in attributes.items()
        if value is not None
    )
    return Markup("<{}{}>{}</{}>").format(
        name, Markup(written), Markup("").join(escape(child) for child in children), name
    )


def text(x: float, y: float, words: str, kind: str = "", anchor: str | None = None) -> Markup:
    """A line of text whose baseline starts, ends or is centred at (x, y)."""
    return tag("text", words, x=x, y=y, class_=kind or None, text_anchor=anchor)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def drawing(width: float, height: float, told: str, parts: Iterable[Markup], kind: str = "chart") -> Markup:
    """A picture of `width` × `height` units that grows with the page; `told` is what it shows, in words."""
    box = f"0 0 {_short(width)} {_short(height)}"
    return tag("svg", *parts, viewBox=box, class_=kind, role="img", aria_label=told)


def ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Round numbers from `low` or below to `high` or above, in about `wanted` steps of 1, 2 or 5 × 10ⁿ."""
    if not high > low:
        high = low + (abs(low) or 1)
    rough = (high - low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [round(n * step, 12) for n in range(first, last + 1)]


def tick_labels(values: Sequence[float]) -> list[str]:
    """Ticks with as many decimals as the finest of them needs: 0, 0.05, 0.1 as "0.00", "0.05", "0.10"."""
    places = max((len(f"{value:g}".partition(".")[2]) for value in values), default=0)
    return [f"{value:.{places}f}" for value in values]


def _short(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
