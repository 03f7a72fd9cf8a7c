"""Which of several stores something belongs to."""

from __future__ import annotations

from hashlib import blake2b


def shard_of(*names: str, shards: int) -> int:
    """The number of the shard, from 0 on, that names belong to; the same everywhere and always.

    `shard_of(collection, shards=8)` keeps a collection together, `shard_of(key, shards=8)` what
    belongs to one user, say, in all collections. Documents of one transaction must be in one shard.
    Raises ValueError for no name, and for fewer shards than one.
    """
    if not names or shards < 1:
        raise ValueError(f"got names={names!r}, shards={shards!r}; give a name, and 1 or more")
    text = "".join(f"{len(name)} {name}" for name in names)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) % shards


def need_shard(shard: object) -> None:
    """Raise ValueError for what is no number of a shard, from 0 on, and how many there are."""
    match shard:
        case (int(number), int(count)) if 0 <= number < count:
            return
    raise ValueError(f"got shard={shard!r}; give (number, from 0 on, how many), such as (2, 8)")
