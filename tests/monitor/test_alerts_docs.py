"""What docs/monitor/alerts.md and docs/monitor/restarts.md show is so."""

import os
import pathlib
import re
import subprocess

import apprise
import msgspec
import pytest
from alerted import event

from safepatch.monitor import sources
from safepatch.monitor.alerts import delivering, messages
from safepatch.monitor.alerts.messages import Message
from safepatch.monitor.restarts import actions

DOCS = pathlib.Path(__file__).parents[2] / "docs" / "monitor"
ALERTS, RESTARTS = (DOCS / name for name in ("alerts.md", "restarts.md"))
TOKENS = (
    "HOOK_TOKEN DISCORD_TOKEN ALERTS_TOKEN SMTP_PASSWORD NTFY_TOPIC NTFY_USER NTFY_PASSWORD "
    "TEAMS_WORKFLOW TEAMS_SIGNATURE DEPLOY_TOKEN"
)
ENVIRON = dict.fromkeys(TOKENS.split(), "abcdefgh") | {
    "SLACK_A": "TokenAAAA1",
    "SLACK_B": "TokenBBBB1",
    "SLACK_C": "TokenCCCCCCCCCCCCCCCCCCC1",
    "DISCORD_ID": "123456789012345678",
    "TEAMS_HOST": "prod-1.westeurope.logic.azure.com",
    "PAGERDUTY_KEY": "k" * 32,
}


def blocks(path, kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)


def rows(path):
    """The first cells of the rows of all tables."""
    return re.findall(r"^\| `(\w+)` \|", path.read_text(), re.MULTILINE)


@pytest.fixture
def plans(tmp_path, monkeypatch):
    """A function that reads each table of a page, beside an endpoint and all its programs."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sudo", "docker", "kubectl", "ssh", "tell", "bring-back"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")

    beside = {"endpoints": {"x": {"address": "https://example.org", "tags": ["production"]}}}

    def read(path):
        for number, block in enumerate(blocks(path, "toml")):
            file = tmp_path / f"{number}.toml"
            file.write_text(block.replace("/usr/local/bin", str(programs)))
            yield sources.read([str(file), beside], environ=ENVIRON)

    return read


@pytest.mark.parametrize("path", [ALERTS, RESTARTS], ids=["alerts", "restarts"])
def test_every_table_is_read_as_it_stands(path, plans):
    found = [bool(plan.channels or plan.restarts) for plan in plans(path)]

    assert found == [True] * len(blocks(path, "toml"))
    assert len(found) >= 5


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_apprise_understands_every_address_of_a_recipe(plans):
    kinds = set()
    for plan in plans(ALERTS):
        for channel in plan.channels.values():
            kinds.add(delivering.kind(channel))
            if channel.url and delivering.kind(channel) != "webhook":
                assert apprise.Apprise.instantiate(channel.url) is not None, channel.name

    assert kinds >= {"slack", "discord", "workflows", "ntfy", "ntfys", "pagerduty"}
    assert kinds >= {"webhook", "mail", "command"}


def test_the_keys_of_the_tables_are_those_that_are_sent():
    assert [*Message.__struct_fields__] == rows(ALERTS)[-len(Message.__struct_fields__) :]
    fields = actions.Action.__struct_fields__
    assert [*fields] == rows(RESTARTS)
    for name in fields:
        assert f"| `{name}` | `SAFEPATCH_{name.upper()}` |" in RESTARTS.read_text()


def test_the_variables_that_it_names_are_those_of_a_command():
    names = delivering.names(messages.message(event(1)))
    [line] = re.findall(r"^The variables are .*$", ALERTS.read_text(), re.MULTILINE)

    assert re.findall(r"`(SAFEPATCH_\w+)`", line) == [*names]


def test_the_script_for_a_command_prints_what_it_is_told():
    told = messages.message(event(1, endpoints=("a", "b")))
    [script] = blocks(ALERTS, "sh")

    assert run(script, delivering.names(told)) == "critical: site-1 is down (e1-down)\n- a\n- b\n"


def test_the_script_for_a_restart_knows_the_endpoint():
    [script] = blocks(RESTARTS, "sh")
    what = actions.Action(
        id="x", restart="any", endpoint="shop", address="", attempt=2, of=3, since=0.0
    )
    other = msgspec.structs.replace(what, endpoint="other")

    assert run(script, actions.names(what)) == "restarting the shop, attempt 2\n"
    with pytest.raises(subprocess.CalledProcessError):
        run(script, actions.names(other))


def run(script, names):
    ran = subprocess.run(
        ["sh", "-c", script],
        env={**os.environ, **names},
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    return ran.stdout
