"""The public names of the store as a user writes them; checked by type checkers, never run."""

from datetime import datetime
from typing import Any, assert_type

from safepatch.store import ConflictError, NotStorableError, Store, durable, no_switch
from safepatch.store.followers import Follower
from safepatch.store.shards import shard_of
from safepatch.store.tools.repairing import Repair, repair
from safepatch.store.tools.restoring import Restored, restore
from safepatch.store.tools.surveying import Survey, survey
from safepatch.store.tools.transferring import contents, copy

store = Store("state/", every=60.0, keep=86400, migrations=[lambda root: root["users"].clear()])


@durable(store)
@no_switch
def visit(name: str) -> int:
    visits: int = store.root["visits"].get(name, 0) + 1
    store.root["visits"][name] = visits
    return visits


assert_type(visit("me"), int)
assert_type(store.sync(), list[tuple[str, str]])
assert_type(store.stats(), dict[str, Any])
try:
    with store, store.transaction(reads_only=True):
        pass
except ConflictError as error:
    assert_type((error.collection, error.key), tuple[str, str])
except NotStorableError as error:
    assert_type(error.path, list[str | int])

with Follower("postgresql:///app", shard=(2, 8)) as follower:
    assert_type(follower.age(), float)
assert_type(shard_of("users", shards=8), int)

assert_type(survey("state"), Survey)
assert_type(repair("state", agree=lambda found: found.lost == 0), Repair | None)
assert_type(restore("state", "before", at=datetime(2026, 3, 1)), Restored)
assert_type(copy("state", "sqlite:///state.db", told=lambda done, total: None), int)
with contents("state") as stored:
    for name in stored:
        assert_type(name, str)
