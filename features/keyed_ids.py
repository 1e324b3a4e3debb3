"""The keyed hash that stands for an id, in plain Python: for who has no Spark, as what answers in real time.

`features.privacy.keyed` makes the same of a column.
"""

import hmac

Keys = tuple[bytes, ...]
"""An id is hashed with each in turn, the oldest first: a new key is put behind the others, and hashes what they made."""

DIGITS = 32  # hexadecimal, of a keyed hash: its first 128 bits


def keyed_id(given: str, keys: Keys) -> str:
    """The keyed hash of one id: the first 128 bits of HMAC-SHA256 of its UTF-8 bytes, as 32 hexadecimal digits."""
    for key in keys:
        given = hmac.digest(key, given.encode(), "sha256").hex()[:DIGITS]
    return given


def fingerprint(keys: Keys) -> str:
    """By which keys are told apart, and which gives nothing of them away."""
    return keyed_id("", derived(keys, "fingerprint"))[:16]


def derived(keys: Keys, purpose: str) -> Keys:
    """Keys for another purpose: what they make cannot be compared with what `keys` make of the same ids."""
    return tuple(hmac.digest(key, f"footfall {purpose}".encode(), "sha256") for key in keys)
