"""Whether the lake may be trained on and scored: what its newest check of `quality` said."""

from typing import Any

from conf.schema import Config
from jobs.job import Untrusted


def trusted(conf: Config, told: dict[str, Any]) -> dict[str, Any]:
    """Refuses to go on after a check with breaches that are marked `stop`; `told` are the facts of its commit.

    With `quality.override`, here or at the check, it goes on; returns what a step says of that in its own facts.
    """
    stopped = told.get("stopped", [])
    if not stopped:
        return {}
    if not (conf.quality.override or told["overridden"]):
        raise Untrusted(
            f"the check of {told['ds']} found what must not be; nothing is trained or scored. "
            + "; ".join(stopped)
            + ". Put it right and run the night again, or give quality.override=true to go on in spite of it"
        )
    print("in spite of: " + "; ".join(stopped), flush=True)
    return {"in_spite_of": stopped}
