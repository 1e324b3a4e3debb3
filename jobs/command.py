"""What every command does that needs no Spark: read the configuration, and end with a line that says why."""

import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from conf.load import ConfigurationError, load
from conf.schema import Config

BAD_INPUT, UNTRUSTED, BREACHED = 2, 3, 4


class InputError(ValueError):
    """Something outside the program that its user can put right; shown without a traceback."""


class Untrusted(RuntimeError):
    """Data that does not meet an expectation marked `stop`."""


class Breached(RuntimeError):
    """A measure of a night that is outside of its limits. All that the job writes is written."""


def configure(needs: Sequence[str] = (), groups: Mapping[str, str] | None = None) -> Config:
    """The configuration of this command line, or the end of the program with a line that says what is wrong.

    groups  the choice of a group, as `train: cpu`, where the command makes none
    """
    if {"-h", "--help"} & set(sys.argv[1:]):
        print((sys.modules["__main__"].__doc__ or "").strip())
        raise SystemExit(0)
    given = sys.argv[1:]
    chosen = {argument.partition("=")[0] for argument in given}
    own = [f"{group}={choice}" for group, choice in (groups or {}).items() if group not in chosen]
    try:
        return load([*own, *given], needs)
    except ConfigurationError as error:
        stop(str(error))


def stop(message: str, code: int = BAD_INPUT) -> NoReturn:
    """Ends the program with `message` alone."""
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(code)
