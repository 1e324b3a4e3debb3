"""The file that the key of a lake's ids is kept in."""

import os
from pathlib import Path

from conf.schema import Config
from features.keyed_ids import Keys
from jobs.command import InputError
from jobs.places import on_disk

BYTES = 32  # of a key


def key_file(conf: Config) -> Path:
    """Where the key is: never inside the lake, which others may copy."""
    lake = on_disk(conf.lake)
    if conf.privacy.key_file is None and lake is None:
        raise InputError(
            f"the key of {conf.lake} cannot be kept beside it: set privacy.key_file or privacy.key_variable"
        )
    path = Path(conf.privacy.key_file or f"{lake}.key").absolute()
    if lake and path.is_relative_to(lake):
        raise InputError(f"privacy.key_file is {path}, inside of the lake: put the key elsewhere")
    return path


def write(path: Path, keys: Keys) -> None:
    """Keys in a file that only its owner reads, on the disk before anything is made with them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("".join(key.hex() + "\n" for key in keys))
        file.flush()
        os.fsync(file.fileno())


def parsed(text: str, place: str) -> Keys:
    """The keys in a text, apart by blanks or line breaks, the oldest first."""
    try:
        keys = tuple(bytes.fromhex(word) for word in text.split())
    except ValueError:
        keys = ()
    if not keys or min(map(len, keys)) < BYTES:
        raise InputError(
            f"{place} holds no key, expected {2 * BYTES} hexadecimal digits or more, as `openssl rand -hex {BYTES}` makes"
        )
    return keys
