"""The key of the ids in a lake: where it is kept, and that it is the right one."""

import os
import secrets

from conf.schema import Config
from features.erased_users import ERASED_USERS
from features.events import EVENTS
from features.keyed_ids import Keys, derived, fingerprint
from features.lake import Lake
from features.privacy import held_fingerprint
from jobs.command import InputError
from jobs.key_files import BYTES, key_file, parsed, write


def keys_of(conf: Config, lake: Lake) -> Keys:
    """The keys that the ids of this lake are made with, none where they are plain; made where there is no lake yet.

    Raises `InputError` for other keys than those of the ids that are in the lake.
    """
    held, is_new = held_fingerprint(lake, EVENTS), not lake.exists(EVENTS)
    if conf.privacy.ids == "plain":
        if held:
            raise InputError(
                f"{conf.lake} holds keyed ids, and privacy.ids is plain: leave that out, or give lake= a new folder"
            )
        return ()
    if not is_new and held is None:
        raise InputError(
            f"{conf.lake} holds plain ids, and privacy.ids is keyed: set privacy.ids=plain, or give lake= a new folder "
            "and take the raw logs in anew"
        )
    return matching(conf, held)


def keys_of_erased(conf: Config, lake: Lake, keys: Keys) -> Keys:
    """The keys of `erased_users`: of `keys_of`, and where ids are plain of the same place."""
    return derived(keys or matching(conf, held_fingerprint(lake, ERASED_USERS)), "erased")


def matching(conf: Config, held: str | None) -> Keys:
    """The keys where the configuration says that they are; refuses others than those of a table that `held` is from."""
    keys, place = found(conf, held)
    if held and fingerprint(keys) != held:
        raise InputError(
            f"{place} holds the key with the fingerprint {fingerprint(keys)}, expected {held}, which made the ids in "
            f"{conf.lake}: put that key there, or set privacy.key_file to where it is"
        )
    return keys


def found(conf: Config, held: str | None) -> tuple[Keys, str]:
    """The keys and where they are; a key that is `held` by a lake already is not made anew."""
    if name := conf.privacy.key_variable:
        if not os.environ.get(name):
            raise InputError(
                f"the environment has no {name}, expected the key: set it, or privacy.key_variable"
            )
        return parsed(os.environ[name], f"the variable {name}"), f"the variable {name}"
    path = key_file(conf)
    if not path.exists():
        if held:
            raise InputError(
                f"there is no {path}, expected the key with the fingerprint {held}, which made the ids in {conf.lake}: "
                "put it back, or set privacy.key_file to where it is"
            )
        write(path, (secrets.token_bytes(BYTES),))
        print(
            f"keys: made the key of the users' ids, {path}: keep a copy apart from the lake; nothing new can be taken in "
            "without it",
            flush=True,
        )
    return parsed(path.read_text(), str(path)), str(path)
