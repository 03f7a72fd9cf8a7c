"""docs/traps.md tells what became of the rows; `python document.py` writes its table anew."""

import concurrent.futures
import importlib.metadata
import re

import rows
from children_of_rows import HERE, libfaketime, run_on_peers

PATH = HERE.parents[1] / "docs" / "traps.md"
LIBRARIES = ("cachetools", "cachebox", "async-lru", "wrapt", "gevent", "greenlet")
HEAD = ("Row", "Around", "What happens", "Ours", *rows.PEERS)
BEGIN, END = "<!-- table -->", "<!-- end of table -->"


def versions():
    """The others whose verdicts are written, as installed here."""
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)


def line_of(row, found):
    cells = [cell_of(row, found.get(peer, "-")) for peer in rows.PEERS]
    promise = row.check.__doc__.splitlines()[0]
    return f"| {' | '.join([row.name, row.surroundings, promise, row.known or 'holds', *cells])} |"


def cell_of(row, verdict):
    if row.by_chance and verdict not in ("-", "holds"):
        return "fails"
    return verdict


def lines_written():
    table = PATH.read_text().split(BEGIN)[1].split(END)[0].strip().splitlines()
    return {tuple(re.split(r" *\| *", line)[1:3]): line for line in table[2:]}


def line_written(row):
    return lines_written().get((row.name, row.surroundings))


def rows_written():
    return set(lines_written())


def is_comparable(row):
    """Say whether what is written was found with the versions that are installed here."""
    return not row.by_chance and f"Found with {versions()}." in PATH.read_text()


def write():
    if libfaketime() is None:
        raise SystemExit("install libfaketime, for the rows that step the clock on the wall")
    table = ["| " + " | ".join(HEAD) + " |", "|" + " --- |" * len(HEAD)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = pool.map(run_on_peers, rows.load().values())
        table += map(line_of, rows.load().values(), found)
    text = PATH.read_text()
    text = re.sub(r"(?m)^Found with .*\.$", f"Found with {versions()}.", text)
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    PATH.write_text("\n".join([before + BEGIN, "", *table, "", END + after]))


if __name__ == "__main__":
    write()
