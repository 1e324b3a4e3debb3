"""What a task with labels cannot be."""

from collections.abc import Iterator

from conf.schema import Label, Task

LOSSES = {
    "binary": ("cross_entropy",),
    "classes": ("cross_entropy",),
    "amount": ("lognormal", "mse", "pinball"),
}
CALIBRATIONS = {
    "binary": ("temperature", "isotonic", "none"),
    "classes": ("temperature", "macro_f1", "none"),
    "amount": ("none",),
}
BASELINES = {
    "binary": ("prior", "logistic", "table"),
    "classes": ("prior", "table"),
    "amount": ("prior", "naive"),
}
BESIDE = {"binary": ("bg_nbd",), "classes": (), "amount": ()}
METRICS = {
    "binary": ("roc_auc", "pr_auc", "log_loss", "calibration_error", "lift", "precision", "recall", "f1"),
    "classes": ("accuracy", "precision_macro", "recall_macro", "f1_macro", "log_loss"),
    "amount": ("mae", "mse", "r2", "spearman"),
}
CHOICES = {
    "weight": ("none", "balanced"),
    "sharing": ("bottom", "mmoe", "ple"),
    "balance": ("fixed", "uncertainty", "pcgrad"),
}


def problems(task: Task) -> Iterator[str]:
    """Each value that makes no sense, in words that name its key."""
    if task.together:
        yield from _of_several(task)
    if task.label is None:
        return
    yield from _of_any(task.label)
    if not task.together:
        yield from _of_one(task.label)


def _of_several(task: Task) -> Iterator[str]:
    """Of a task that has no question of its own."""
    if len(set(task.together)) < len(task.together) or len(task.together) < 2:
        yield f"task.together must be two tasks or more, each once, got {task.together}: set task.together"
    if task.label is None or task.label.sql:
        yield "task.together asks what its tasks ask, expected task.label with the sql '': set task.label.sql=''"


def _of_one(label: Label) -> Iterator[str]:
    if label.head not in LOSSES:
        yield f"task.label.head must be one of {', '.join(LOSSES)}, got {label.head!r}: set task.label.head"
        return
    for key, allowed in (("loss", LOSSES), ("calibration", CALIBRATIONS), ("baseline", BASELINES)):
        if (value := getattr(label, key)) not in allowed[label.head]:
            choices = f"{', '.join(allowed[label.head])} where head={label.head}"
            yield f"task.label.{key} must be one of {choices}, got {value!r}: set task.label.{key}"
    if set(label.beside) - set(BESIDE[label.head]) or len(set(label.beside)) < len(label.beside):
        choices = f"{', '.join(BESIDE[label.head]) or 'none'} where head={label.head}"
        yield f"task.label.beside must be some of {choices}, each once, got {label.beside}: set task.label.beside"
    if not label.metrics or set(label.metrics) - set(METRICS[label.head]):
        choices = ", ".join(METRICS[label.head])
        yield f"task.label.metrics must be some of {choices}, got {label.metrics}: set task.label.metrics"
    if label.arms and (len(set(label.arms)) != 2 or len(label.arms) != 2 or label.head == "classes"):
        wanted = "none, or two of binary questions or amounts, who is held out first"
        yield f"task.label.arms must be {wanted}, got {label.arms} where head={label.head}: set task.label.arms"
    if label.head != "classes":
        for key in ("naive_otherwise", "otherwise"):
            value = getattr(label, key)
            if value is not None and not _is_number(value):
                yield f"task.label.{key} must be a number, got {value!r}: set task.label.{key}"


def _of_any(label: Label) -> Iterator[str]:
    for key, known in CHOICES.items():
        if (value := getattr(label, key)) not in known:
            yield f"task.label.{key} must be one of {', '.join(known)}, got {value!r}: set task.label.{key}"
    for key in ("limit", "horizon_days", "snapshots", "experts"):
        if (value := getattr(label, key)) < 1:
            yield f"task.label.{key} must be > 0, got {value}: set task.label.{key}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
