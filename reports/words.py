"""Numbers, times and verdicts as people write them."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from reports.facts import number, rows

NOTHING = "–"
METRICS = {
    **{name: name.upper() for name in ("hr", "ndcg", "mrr", "map", "mae", "mse", "wape")},
    "recall": "Recall",
    "roc_auc": "ROC-AUC",
    "pr_auc": "PR-AUC",
    "f1_macro": "macro F1",
}


def count(value: Any) -> str:
    """1477998 as "1,477,998"; nothing as a dash."""
    found = number({"": value}, "")
    return NOTHING if found is None else f"{found:,.0f}"


def percent(share: Any) -> str:
    """0.01 as "1%"."""
    found = number({"": share}, "")
    return NOTHING if found is None else f"{found * 100:g}%"


def decimals(value: Any, places: int = 3) -> str:
    """0.2259 as "0.226", with a true minus sign."""
    found = number({"": value}, "")
    return NOTHING if found is None else f"{found:.{places}f}".replace("-", "−")


def signed(value: Any, places: int = 3) -> str:
    """As `decimals`, with a plus sign where it is one."""
    found = number({"": value}, "")
    return NOTHING if found is None else ("+" if found > 0 else "") + decimals(found, places)


def value(found: Any) -> str:
    """12345.678 as "12,346", 0.012345 as "0.0123": three digits, and all before the point; nothing as a dash."""
    told = number({"": found}, "")
    if told is None:
        return NOTHING
    text = f"{told:,.0f}" if abs(told) >= 1000 else f"{told:.3g}"
    return text.replace("-", "−")


def short(user_id: str) -> str:
    """The first eight digits of a keyed hash, enough to tell a few users apart; any other id as it is."""
    return user_id[:8] if re.fullmatch("[0-9a-f]{32}", user_id) else user_id


def limits(row: Mapping[str, Any]) -> str:
    """What passes, of `lower` and `upper`: "0.1 to 5", "at most 5", "at least 3"."""
    lower, upper = number(row, "lower"), number(row, "upper")
    if lower is not None and upper is not None:
        return f"{value(lower)} to {value(upper)}"
    return f"at least {value(lower)}" if lower is not None else f"at most {value(upper)}"


def share(part: float, whole: float) -> str:
    """3 of 8 as "38%"; what is not nothing is never written as 0%."""
    percent = 100 * part / whole if whole else 0
    if percent == 0:
        return "0"
    return f"{percent:.0f}%" if percent >= 1 else "<1%"


def duration(seconds: Any) -> str:
    """4.2 as "4.2 s", 75 as "1 min 15 s", 4000 as "1 h 07 min"."""
    found = number({"": seconds}, "")
    if found is None:
        return NOTHING
    if found < 59.95:
        return f"{found:.1f} s"
    minutes, rest = divmod(round(found), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def day(text: Any) -> str:
    """2017-12-01T00:00:00Z as "1 Dec 2017"; what is no date as it came."""
    moment = parsed(text)
    return f"{moment.day} {moment:%b %Y}" if moment else str(text or NOTHING)


def minute(text: Any) -> str:
    """2017-12-01T10:30:00Z as "1 Dec 2017, 10:30"; what is no time as it came."""
    moment = parsed(text)
    return f"{day(text)}, {moment:%H:%M}" if moment else str(text or NOTHING)


def metric_name(metric: Any) -> str:
    """`ndcg@10` as "NDCG@10", `log_loss` as "log loss"."""
    name, sign, k = str(metric).partition("@")
    return METRICS.get(name, name.replace("_", " ")) + sign + k


def verdicts(question: Mapping[str, Any], metrics: tuple[str, ...]) -> list[dict[str, str]]:
    """How each encoder stands to the best baseline, one sentence a metric, with its `standing`."""
    said = []
    for model in rows(question, "models"):
        for metric in metrics:
            difference, low, high = (
                number(model, "against_best_baseline", metric, key) for key in ("difference", "low", "high")
            )
            rival = best_baseline(question, metric)
            if model.get("kind") == "baseline" or difference is None or rival is None:
                continue
            name = str(model.get("model"))
            said.append(_verdict(name, rival, metric_name(metric), difference, low, high))
    return said


def best_baseline(question: Mapping[str, Any], metric: str) -> str | None:
    """Name of the baseline with the best mean of `metric`."""
    means = [
        (mean, str(model.get("model")))
        for model in rows(question, "models")
        if model.get("kind") == "baseline" and (mean := number(model, "values", metric, "mean")) is not None
    ]
    return max(means)[1] if means else None


def _verdict(
    name: str, rival: str, metric: str, difference: float, low: float | None, high: float | None
) -> dict[str, str]:
    known = low is not None and high is not None
    stands = _standing(difference, low, high)
    if stands == "level":
        interval = f"{signed(difference)} ({signed(low)} to {signed(high)})"
        return _said("level", name, f"cannot be told from {rival}: {interval}", metric)
    ends = sorted(abs(end) for end in (low, high) if end is not None)
    interval = f" ({decimals(ends[0])} to {decimals(ends[1])})" if known else ""
    return _said(stands, name, f"is {stands} {rival} by {decimals(abs(difference))}{interval}", metric)


def standing(between: Any) -> str:
    """`above`, `level` or `below`: of a difference with the ends of its interval."""
    difference, low, high = (number(between, key) for key in ("difference", "low", "high"))
    return "level" if difference is None else _standing(difference, low, high)


def _standing(difference: float, low: float | None, high: float | None) -> str:
    if low is not None and high is not None and low <= 0 <= high:
        return "level"
    return "above" if difference > 0 else "below"


def _said(standing: str, name: str, what: str, metric: str) -> dict[str, str]:
    return {"standing": standing, "name": name, "what": what, "metric": metric}


def parsed(text: Any) -> datetime | None:
    """The moment that a text in ISO 8601 says, if it says one."""
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
