"""What sources say together, as a plan, and all that is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from safepatch.monitor.plan import Channel, Endpoint, Options, Plan, Restart, Settings, Window
from safepatch.monitor.sources import agreement, documents, lines, tables
from safepatch.monitor.sources.addresses import likeness, normal, shown
from safepatch.monitor.sources.documented import Documents
from safepatch.monitor.sources.documents import Document, dotted
from safepatch.monitor.sources.lines import Lines
from safepatch.monitor.sources.notes import Notes


class Reading:
    """What has been read so far."""

    def __init__(self, notes: Notes, environ: Mapping[str, str], pause: Callable[[], None]) -> None:
        self.notes = notes
        self.environ = environ
        self.pause = pause
        self.documents = Documents(notes, environ)
        self.lists: list[tuple[str, Lines]] = []
        self.endpoints: dict[str, Endpoint] = {}
        self.likenesses: dict[str, str] = {}  # of addresses that are their own names: where

    def plan(self, said: Mapping[str, Any]) -> Plan:
        """All of it as a plan, by those settings where they say something."""
        for document in self.documents.all:
            self.documents.known(document)
        settings = self._settings(said)
        shared = self._defaults()
        for document in self.documents.all:
            self._tables(document, shared)
        for label, listed in self.lists:
            self._lines(label, listed, shared)
        plan = Plan(
            settings=settings,
            endpoints=self.endpoints,
            channels=self.documents.things("channels", Channel),
            windows=self.documents.things("windows", Window),
            restarts=self.documents.things("restarts", Restart),
        )
        self._agree(plan)
        if not plan.endpoints and not self.notes.problems:
            self.notes.tell(
                "sources", "no endpoint is said; write an address, such as 'example.com'"
            )
        return plan

    def _settings(self, said: Mapping[str, Any]) -> Settings:
        for document in self.documents.all:
            self._listed(document)
        given = Document("settings", {"monitor": said}, Path())
        found = self.documents.merged("monitor", Settings, ("lists",))
        found |= self.documents.values(given, Settings, ("monitor",), said)
        settings = Settings(**found)
        for key, message in agreement.of_settings(settings, self.environ):
            document = given if key in said else self.notes.written.get(("monitor", key), given)
            self.notes.wrong(document, ["monitor", key], message)
        return settings

    def _listed(self, document: Document) -> None:
        """Read the files of lines that a document names."""
        said = self.documents.table(document, "monitor").get("lists", [])
        names = [said] if isinstance(said, str) else said
        if not isinstance(names, list | tuple) or not all(isinstance(one, str) for one in names):
            self.notes.wrong(
                document, ["monitor", "lists"], f"{shown(said)} is not a list of files"
            )
            return
        for name in names:
            path = document.folder / os.path.expanduser(name)
            where = document.where("monitor", "lists")
            listed = documents.listed(path, where, self.notes.tell, self.pause)
            if listed:
                self.lists.append((str(path), listed))

    def _defaults(self) -> tables.Shared:
        found = self.documents.merged("defaults", Options)
        base = tables.timely(Options(**found), found)
        for key, message in self._of_options(base):
            document = self.notes.written.get(("defaults", key))
            if document:
                self.notes.wrong(document, ["defaults", key], message)
        return tables.Shared(base, found)

    def _of_options(self, options: Options) -> Iterator[tuple[str, str]]:
        yield from agreement.of_options(options)
        yield from agreement.of_environment(options, self.environ)

    def _tables(self, document: Document, shared: tables.Shared) -> None:
        for number, (name, said) in enumerate(self.documents.table(document, "endpoints").items()):
            if number % 100 == 99:
                self.pause()
            table = {"address": said} if isinstance(said, str) else said
            if not isinstance(table, Mapping):
                why = f"{shown(said)} is no address, and no table"
                self.notes.wrong(document, ["endpoints", str(name)], why)
            else:
                self._endpoint(document, str(name), table, shared)

    def _endpoint(
        self, document: Document, name: str, table: Mapping[str, Any], shared: tables.Shared
    ) -> None:
        keys = ("endpoints", name)
        if why := lines.wrong_name(name):
            self.notes.wrong(document, keys, why)
        inner = next((key for key, value in table.items() if _is_endpoint(key, value)), "")
        if inner and "address" not in table:
            whole = dotted("endpoints", f"{name}.{inner}")
            self.notes.wrong(document, keys, f"a name with dots is to be in quotes: [{whole}]")
            return
        address = self._address(document, keys, table, _own(name))
        found = self.documents.values(document, Options, keys, table, ("address",))
        self.notes.written["endpoints", name] = document
        if not address:
            return
        endpoint = Endpoint(name, address, shared.options(found), document.where(*keys))
        if keys not in self.notes.broken:  # or what was left out would be missed
            self._whole(document, endpoint, found, shared)
        self._add(endpoint)

    def _whole(
        self,
        document: Document,
        endpoint: Endpoint,
        found: Mapping[str, Any],
        shared: tables.Shared,
    ) -> None:
        keys = ("endpoints", endpoint.name)
        for key, message in agreement.of_endpoint(endpoint, found):
            self.notes.wrong(document, (*keys, key), message)
        if endpoint.options is shared.base:
            return
        known = {*self._of_options(shared.base)} if shared.said else set()
        for key, message in self._of_options(endpoint.options):
            if (key, message) not in known:
                self.notes.wrong(document, (*keys, key), message)

    def _address(
        self,
        document: Document,
        keys: tuple[str, ...],
        table: Mapping[str, Any],
        own: str | None,
    ) -> str:
        said = table.get("address", own)
        try:
            if said is None and any(map(tables.is_address, table)):
                return ""  # as is told of that key
            if said is None:
                raise ValueError('there is none; write address = "https://example.com"')
            if not isinstance(said, str):
                raise ValueError(f"{shown(said)} is not a text")
            return normal(said.strip())
        except ValueError as error:
            self.notes.wrong(document, (*keys, "address"), str(error))
            return ""

    def _lines(self, label: str, listed: Lines, shared: tables.Shared) -> None:
        private = (*shared.base.private, *listed.allowed)
        options = shared.options({"private": private} if listed.allowed else {})
        for line in listed.entries:
            if line.number % 500 == 0:
                self.pause()
            where = f"{label}:{line.number}" if line.number else label
            if why := lines.wrong_name(line.name):
                self.notes.tell(where, why)
            elif line.is_named or self._is_new(line.address, where):
                self._add(Endpoint(line.name, line.address, options, where))

    def _is_new(self, address: str, where: str) -> bool:
        first = self.likenesses.setdefault(likeness(address), where)
        if first is not where:
            self.notes.tell(
                where,
                f"{address!r} is already at {first}; remove one, or name it: 'other = {address}'",
            )
        return first is where

    def _add(self, endpoint: Endpoint) -> None:
        first = self.endpoints.setdefault(endpoint.name, endpoint)
        if first is not endpoint:
            why = f"{endpoint.name!r} is already at {first.where}; remove one, or rename it"
            self.notes.tell(endpoint.where, why)

    def _agree(self, plan: Plan) -> None:
        """Tell what does not go together; only where what it is about was read."""
        for name, channel in plan.channels.items():
            found = agreement.of_channel(channel, plan.settings)
            self._all("channels", name, found)
        for name, window in plan.windows.items():
            self._all("windows", name, agreement.of_window(window))
        for name, restart in plan.restarts.items():
            self._all("restarts", name, agreement.of_restart(restart))
        for table, name, key, message in agreement.of_names(plan, self.notes.broken):
            self.notes.at(table, name, key, message)
        for name, message in agreement.circles(plan):
            self.notes.at("endpoints", name, "depends_on", message)

    def _all(self, table: str, name: str, found: Iterable[tuple[str, str]]) -> None:
        if (table, name) in self.notes.broken:  # what was left out would be missed
            return
        for key, message in found:
            self.notes.wrong(self.notes.written[table, name], (table, name, key), message)


def _is_endpoint(key: str, value: object) -> bool:
    return isinstance(value, Mapping) and key not in tables.known(Options)


def _own(name: str) -> str | None:
    """The address that a name is, if it is to be one."""
    return name if "." in name or ":" in name else None
