"""The root and its collections: dicts that tell the running transaction what is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from safepatch.store.errors import ConflictError
from safepatch.store.threads import current
from safepatch.store.values import checksum

if TYPE_CHECKING:
    from safepatch.store.transactions import Transaction

# The open transactions of a store, by the thread or greenlet that each belongs to.
Open = dict[Any, "Transaction"]


if TYPE_CHECKING:
    Documents = dict[str, Any]
else:

    class Documents(MutableMapping, dict):
        """A dict whose methods are those of MutableMapping, but for what is said otherwise."""

        __slots__ = ()
        __ne__ = object.__ne__  # which asks `==`; MutableMapping has none, and a dict's sees more


class Collection(Documents):
    """Documents by their keys, in the order in which they came.

    Where no transaction is open it works as a dict does. In a transaction each way to a document
    touches it: what the document was is kept, and nobody else may touch it until the end. All ways
    are those of MutableMapping, which lead through the few methods below. `len()`, and iterating
    over keys, touch nothing.
    """

    __slots__ = ("held", "name", "open", "sums")

    def __init__(self, name: str, open_: Open) -> None:
        self.name = name
        self.open = open_
        self.held: dict[str, Transaction] = {}  # who has touched what, until his transaction ends
        self.sums: dict[str, int] = {}  # checksums of documents as last written

    def __getitem__(self, key: str) -> Any:
        if self.open:
            self._touch(key)
        return dict.__getitem__(self, key)

    def get(self, key: str, default: Any = None) -> Any:
        if self.open:
            self._touch(key)
        return dict.get(self, key, default)

    def __contains__(self, key: object) -> bool:
        if self.open:
            self._touch(key)
        return dict.__contains__(self, key)

    def __setitem__(self, key: str, document: Any) -> None:
        if type(key) is not str:
            raise TypeError(f"got the key {key!r} for {self.name!r}; keys are of type str")
        if self.open:
            self._change(key)
        dict.__setitem__(self, key, document)

    def __delitem__(self, key: str) -> None:
        if self.open:
            self._change(key)
        dict.__delitem__(self, key)

    def __iter__(self) -> Iterator[str]:
        return dict.__iter__(self)  # of Python, or else `dict()` and `**` go past all of these

    __len__ = dict.__len__
    __reversed__ = dict.__reversed__

    # What a transaction brings back, and takes away, when it fails; see engines/on_demand.py.
    put = dict.__setitem__
    drop = dict.pop

    def note(self, key: str, document: bytes | None, ticket: int) -> None:
        """Keep in mind what is on its way to the disk."""
        if document is None:
            self.sums.pop(key, None)
        else:
            self.sums[key] = checksum(document)

    def _touch(self, key: Any) -> None:
        transaction = self.open.get(current())
        if transaction is not None and transaction is not self.held.get(key):
            transaction.touch(self, key)

    def _change(self, key: str) -> None:
        transaction = self.open.get(current())
        if transaction is not self.held.get(key):
            if transaction is None:
                raise ConflictError(self.name, key)
            transaction.change(self, key)

    def touch_removed(self) -> None:
        """Touch what a transaction has removed that may still fail, for who looks at all."""
        for key in [*self.held]:
            if not dict.__contains__(self, key):
                self._touch(key)

    # -- what a dict does at once, where nobody has to be told

    def values(self) -> Any:
        if not self.open:
            return dict.values(self)
        self.touch_removed()
        return MutableMapping.values(self)

    def items(self) -> Any:
        if not self.open:
            return dict.items(self)
        self.touch_removed()
        return MutableMapping.items(self)

    def keys(self) -> Any:  # which `dict()` and `**` call
        if not self.open:
            return dict.keys(self)
        self.touch_removed()
        return MutableMapping.keys(self)

    def popitem(self) -> tuple[str, Any]:
        self.touch_removed()
        key: str | None = next(reversed(self), None)
        if key is None:
            raise KeyError(f"there are no documents in {self.name!r}")
        return key, self.pop(key)

    def copy(self) -> dict[str, Any]:
        """A plain dict of the documents, which are not copied."""
        return dict(self.items())

    def __or__(self, other: Any) -> dict[Any, Any]:
        return self.copy() | dict(other)

    def __ror__(self, other: Any) -> dict[Any, Any]:
        return dict(other) | self.copy()

    def __ior__(self, other: Any) -> Any:
        self.update(other)
        return self

    def __repr__(self) -> str:
        return repr(self.copy())

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return dict, (self.copy(),)


class Root(Documents):
    """The collections by their names. One that is missing reads as empty; an empty one is missing.

    A mapping that is assigned takes the place of all documents of a collection.
    """

    __slots__ = ("kept", "open")

    def __init__(self) -> None:
        self.kept: Any = None  # what does the work of the open store; set by that
        self.open: Open = {}
        # What the store notes for itself, which no iteration shows.
        dict.__setitem__(self, "", self._make(""))

    # Not of MutableMapping: so reading a collection takes no longer than of a dict.
    __getitem__ = dict.__getitem__

    def __missing__(self, name: str) -> Any:
        if type(name) is not str or not name:
            raise TypeError(f"got {name!r} for a collection; names are of type str, and not empty")
        # Two threads may come here at once, and must get the same one.
        made: Collection = dict.setdefault(self, name, self._make(name))
        return made

    def make_room(self, tries: int) -> bool:
        """Let go of some documents, if they can be read again; whether one went. Here none can."""
        return False

    def stay(self) -> None:
        """Have all documents in memory from now on, which here they are."""

    def may_go(self) -> None:
        """Let documents go again that need not be in memory."""

    def _make(self, name: str) -> Collection:
        return Collection(name, self.open)

    def __iter__(self) -> Iterator[str]:
        # Of a copy: looking for a collection that is missing makes one.
        return (name for name in [*dict.keys(self)] if name and _is_any(self[name]))

    def __len__(self) -> int:
        return sum(1 for name in self)

    def __contains__(self, name: object) -> bool:
        documents: Collection | None = dict.get(self, name, None)  # type: ignore[misc]
        return bool(name) and documents is not None and _is_any(documents)

    def get(self, name: str, *default: Any) -> Any:
        """A collection; if there is none, what is given, or one that is empty."""
        return default[0] if default and name not in self else self[name]

    def setdefault(self, name: str, documents: Any = None) -> Any:
        if name not in self:
            self[name] = {} if documents is None else documents
        return self[name]

    def __setitem__(self, name: str, documents: Mapping[str, Any]) -> None:
        if not isinstance(documents, Mapping):
            raise TypeError(
                f"got {documents!r} for the collection {name!r}; give a mapping of documents, "
                f"and a single value a key of its own: root[{name!r}]['value'] = ..."
            )
        collection = self[name] if name else self.__missing__(name)  # which refuses it
        if documents is not collection:  # which `root[name] |= ...` assigns
            collection.touch_removed()
            for key in [key for key in collection if key not in documents]:
                del collection[key]
            collection.update(documents)

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self[name].clear()

    def pop(self, name: str, *default: Any) -> Any:
        """Remove a collection; its documents as a dict."""
        if name not in self:
            empty: dict[str, Any] = {}
            return empty.pop(name, *default)
        documents = self[name].copy()
        del self[name]
        return documents

    def popitem(self) -> tuple[str, Any]:
        for name in [*self][-1:]:
            return name, self.pop(name)
        raise KeyError("there are no collections")

    __or__ = Collection.__or__
    __ror__ = Collection.__ror__
    __ior__ = Collection.__ior__

    def copy(self) -> dict[str, Any]:
        return dict(self.items())

    def __repr__(self) -> str:
        return repr(self.copy())

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return dict, ({name: documents.copy() for name, documents in self.items()},)


def _is_any(documents: Collection) -> bool:
    """Whether a collection has documents; who has removed them all may still fail, and is asked."""
    if not documents:
        documents.touch_removed()
    return bool(documents)
