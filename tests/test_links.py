"""Links between the documents lead somewhere: to a file that is there, and a heading in it."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!\\)\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def text_of(path):
    """A document without its blocks of code, in which a comment is no heading."""
    return BLOCK.sub("", path.read_text())


def anchors(path):
    """Those of the headings, as MyST and GitHub make them; of a second one with a number."""
    found = []
    for heading in HEADING.findall(text_of(path)):
        words = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        again = found.count(words)
        found.append(f"{words}-{again}" if again else words)
    return found


def broken(path):
    for link in LINK.findall(text_of(path)):
        name, _, anchor = link.partition("#")
        if re.match(r"\w+:", link):
            continue
        other = (path.parent / name).resolve() if name else path
        if not other.exists():
            yield f"{link}: there is no such file"
        elif anchor and anchor not in anchors(other):
            yield f"{link}: there is no such heading"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_between_documents_leads_somewhere(path):
    assert [*broken(path)] == []


def test_a_link_to_no_file_or_no_heading_is_seen(tmp_path):
    (tmp_path / "there.md").write_text("# The page: `a_b` and c\n\n```\n# no heading\n```\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[1](there.md) [2](there.md#the-page-a_b-and-c) [3](nowhere.md) [4](there.md#no-heading) "
        "[5](https://example.com/#any) [6](#own)\n\n# Own\n"
    )

    assert [*broken(page)] == [
        "nowhere.md: there is no such file",
        "there.md#no-heading: there is no such heading",
    ]


def test_every_page_of_the_site_can_be_reached_from_its_index():
    trees = {
        (page.parent / f"{name}.md").resolve()
        for page in ROOT.glob("docs/**/*.md")
        for tree in re.findall(r"^```\{toctree\}\n(.*?)^```$", page.read_text(), re.M | re.S)
        for name in tree.split("\n")
        if name and name[0] != ":"
    }

    assert trees | {ROOT / "docs" / "index.md"} == {*ROOT.glob("docs/**/*.md")}
