"""What docs/monitor/configuration.md shows is so."""

import pathlib
import re

import pytest

pytest.importorskip("httptools", reason="paths into JSON need the extra `monitor`")


from safepatch.monitor import plan, sources
from safepatch.monitor.sources import fields, tables
from safepatch.monitor.sources.said import SAID

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "monitor" / "configuration.md"
TEXT = PAGE.read_text(encoding="utf-8")
ENVIRON = {"SMTP_PASSWORD": "x", "SHOP_TOKEN": "x", "HOOK_TOKEN": "x"}


def block(kind):
    [found] = re.findall(rf"^```{kind}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    return found


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_file_and_the_lines_that_it_shows_are_read(folder):
    (folder / "sites.txt").write_text(block("text"))
    (folder / "monitor.toml").write_text(block("toml"))

    made = sources.read("monitor.toml", environ=ENVIRON)

    assert [*made.endpoints] == [
        *("docs", "shop", "database", "nightly-backup"),
        *("example.com", "https://example.com/login", "mail.example.com:25", "The shop"),
        *("tcp://10.1.2.3:5432", "weekly-report"),
    ]
    assert made.endpoints["The shop"].options.private == ("10.0.0.0/8",)
    assert [*made.channels, *made.windows, *made.restarts] == ["team", "on-call", "nightly", "shop"]


def test_the_error_that_it_shows_is_told(folder):
    (folder / "monitor.toml").write_text(
        '[endpoints.shop]\naddress = "htps://shop.example.com"\ninterval = "30"\nkeyword = "x"\n'
        '[channels.team]\nevents = "dwn"\nurl = "https://hooks.example.com"\n'
    )

    with pytest.raises(sources.PlanError) as error:
        sources.read("monitor.toml")

    told = f"safepatch: {error.value}"  # as the command line does
    assert f"$ safepatch monitor run monitor.toml\n{told}\n" == block("console")


@pytest.mark.parametrize("scheme", ["https", "tcp", "tls", "icmp", "smtp", "mx", "dns", "beat"])
def test_every_kind_of_check_is_in_it(scheme):
    assert f"`{scheme}://" in TEXT


def usual(value):
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str) and value:
        return f'`"{value}"`'
    return f"`{value:g}`" if isinstance(value, int | float) else ""


ROW = r"^\| `(\w+)` \|[^|]*\|([^|]*)\| (.*) \|$"
SECTIONS = {
    "Settings": "[monitor]",
    "Options": "[defaults] and [endpoints.NAME]",
    "Channel": "[channels.NAME]",
    "Window": "[windows.NAME]",
    "Restart": "[restarts.NAME]",
}


@pytest.mark.parametrize(("struct", "heading"), SECTIONS.items())
def test_every_key_is_in_it_with_what_it_means_and_what_holds_if_it_is_not_said(struct, heading):
    section = TEXT.partition(f"### {heading}\n")[2].partition("\n#")[0]
    rows = {
        key: (said.strip(), meaning)
        for key, said, meaning in re.findall(
            r"^\| `(\w+)` \|[^|]*\|([^|]*)\| (.*) \|$", section, re.M
        )
    }
    rows.pop("address", None)  # which has no other
    made = getattr(plan, struct)()

    assert {key: meaning for key, (_, meaning) in rows.items()} == SAID[struct]
    for key in tables.known(getattr(plan, struct)):
        value = getattr(made, key)
        days = f'`"{value / 86400:g}d"`' if isinstance(value, float) else ""
        assert rows[key][0] in (usual(value), days)


def test_the_times_that_it_names_are_read():
    texts = re.search(r"or texts such as (.*?)\.\n", TEXT)[1]

    assert [fields.seconds(text) for text in re.findall('`"([^"]+)"`', texts)] == [
        *(0.5, 30, 300, 7200, 1209600, 5400),
    ]
