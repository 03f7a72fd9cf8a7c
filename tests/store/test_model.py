"""Whatever is done, a store is what a dict would be, and what is read again is that."""

import copy
import string
import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from safepatch.store import Store

NAMES = st.sampled_from(["a", "b"])
KEYS = st.sampled_from(["", "k", "l", "ü"])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(string.printable), inner, max_size=3)
    ),
    max_leaves=8,
)
# Of a document in a collection; `...` removes it.
CHANGES = st.tuples(NAMES, KEYS, DOCUMENTS | st.just(...))


def exact(value):
    """With the types: 1, 1.0 and True are different."""
    return repr(value)


@settings(max_examples=50)
@given(DOCUMENTS)
def test_documents_come_back_exactly_as_they_were(document):
    with tempfile.TemporaryDirectory() as directory:
        with Store(directory, every=0) as store, store.transaction():
            store.root["c"]["k"] = document
        with Store(directory, every=0) as store:
            assert exact(document) == exact(store.root["c"]["k"])


class PlannedError(Exception):
    pass


class Dicts(RuleBasedStateMachine):
    @initialize()
    def begin(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.store = Store(self.temporary.name, every=0, segment=500)
        self.model = {"a": {}, "b": {}}

    def teardown(self):
        if hasattr(self, "store"):
            self.store.close()
            self.temporary.cleanup()

    @rule(
        changes=st.lists(st.tuples(NAMES, KEYS, DOCUMENTS | st.just(...)), max_size=4),
        fails=st.booleans(),
    )
    def transact(self, changes, fails):
        model = copy.deepcopy(self.model)
        try:
            with self.store.transaction():
                for name, key, document in changes:
                    self.change(self.store.root, name, key, document)
                    self.change(model, name, key, document)
                if fails:
                    raise PlannedError
        except PlannedError:
            return
        self.model = model

    def change(self, root, name, key, document):
        if document is ...:
            root[name].pop(key, None)
        elif type(root[name].get(key)) is list:
            root[name][key].append(copy.deepcopy(document))
        else:
            root[name][key] = copy.deepcopy(document)

    @rule(name=NAMES, key=KEYS, document=DOCUMENTS)
    def change_outside(self, name, key, document):
        self.change(self.store.root, name, key, document)
        self.change(self.model, name, key, document)

    @rule()
    def sync(self):
        self.store.sync()

    @rule()
    def open_again(self):
        self.store.close()
        self.store = Store(self.temporary.name, every=0, segment=500)

    @rule()
    def merge(self):
        from safepatch.store.engines.journal.compacting import compact

        self.store.sync()
        engine = self.store.opened().engine
        with engine.lock:
            engine._rotate()
        compact(self.temporary.name, engine.sequence)

    @invariant()
    def they_are_the_same(self):
        if hasattr(self, "store"):
            root = {name: dict(self.store.root[name]) for name in "ab"}
            for name in "ab":
                assert {k: exact(v) for k, v in root[name].items()} == {
                    k: exact(v) for k, v in self.model[name].items()
                }


TestDicts = Dicts.TestCase
TestDicts.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
