"""What was learned is in a file that people read and edit, and that is never lost."""

import os
import time
import tomllib

import pytest

pytest.importorskip("gevent", reason="what is learned is written by its threads")

import gevent
import hubs
from hypothesis import given, settings
from hypothesis import strategies as st
from test_learning import endpoint, result, take, teach

from safepatch.monitor.learning import files, profiles, tables
from safepatch.monitor.learning.learning import LATENCIES, Learned
from safepatch.monitor.learning.profiles import Profile
from safepatch.monitor.plan import Endpoint, Options

SHOP = """
[shop]
of = "https://shop.example/"
status = 200
url = "https://shop.example/"
title = "Shop"
words = ["basket", "prices", "delivery", "contact", "imprint"]
size = [3525, 5875]
issuer = "Let's Encrypt"
expires = "2027-01-15T08:00:00Z"
latency = 0.100000
spread = 0.005000
""".replace("[shop]", '["shop"]')


@pytest.fixture(autouse=True)
def no_hub_stays():
    yield
    hubs.end()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "learned.toml"


@pytest.fixture
def saved(path):
    """Learned, with a shop that is in its file."""
    learned = Learned(path)
    teach(learned)
    learned.save()
    return learned


def edit(path, before, after):
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_it_is_written_as_toml_for_people(path, saved):
    text = path.read_text()

    assert text.startswith("# What safepatch monitor has learned of each endpoint")
    assert SHOP in text
    assert tomllib.loads(text)["shop"]["title"] == "Shop"
    assert not list(path.parent.glob("*.new"))


def test_it_is_known_again_after_a_restart(path, saved):
    again = Learned(path)

    assert again.facts("shop") == saved.facts("shop")
    assert take(again, *[result(title="Index of /")] * 2)[1] == (
        "title was 'Shop', now 'Index of /'",
    )
    assert again.problems == []


def test_addresses_that_were_found_are_known_again(path):
    learned = Learned(path)
    learned.found("shop.example", "https://shop.example/", "shop.example")
    learned.save()

    assert Learned(path).address("shop.example") == "https://shop.example/"


def test_nothing_is_written_while_nothing_is_new(path, saved):
    before = path.stat().st_mtime_ns, path.stat().st_ino

    take(saved, *[result(0.1 + number / 1000) for number in range(9)])
    saved.save()

    assert before == (path.stat().st_mtime_ns, path.stat().st_ino)


def test_latencies_that_moved_are_written_after_ten_minutes(path):
    now = [0.0]
    learned = Learned(path, clock=lambda: now[0])
    teach(learned)
    learned.save()
    take(learned, *[result(0.12)] * 100)
    learned.save()
    assert "latency = 0.100000" in path.read_text()

    now[0] += LATENCIES
    learned.save()

    assert "latency = 0.100000" not in path.read_text()


def test_what_a_person_edited_wins_until_it_is_learned_anew(path, saved):
    edit(path, 'title = "Shop"', 'title = "Index of /"')
    again = Learned(path)

    assert take(again, *[result()] * 2)[1] == ("title was 'Index of /', now 'Shop'",)
    take(again, *[result(0.12, title="Index of /")] * 200)
    again.found("other", "https://other.example/")
    again.save()
    assert 'title = "Index of /"' in path.read_text()
    assert "latency = 0.100000" in path.read_text()
    assert Learned(path).facts("shop")["edited"]
    again.relearn("shop")
    teach(again)
    assert again.facts("shop")["title"] == "Shop"


def test_what_a_person_edits_while_it_runs_wins_as_well(path, saved):
    edit(path, 'title = "Shop"', "title = 'Index of /' # for now")

    saved.save()

    assert take(saved, *[result()] * 2)[1] == ("title was 'Index of /', now 'Shop'",)
    assert 'title = "Index of /"' in path.read_text()


def test_a_line_that_a_person_removes_is_not_held_against_it(path, saved):
    edit(path, 'title = "Shop"\n', "")

    saved.save()

    assert take(saved, *[result(title="Index of /")] * 3) == [()] * 3


def test_a_table_that_a_person_removes_is_learned_anew(path, saved):
    path.write_text("")

    saved.save()

    assert saved.facts("shop") == {}
    teach(saved, result(title="Other"))
    assert saved.facts("shop")["title"] == "Other"


def test_what_was_learned_anew_is_not_taken_from_the_file_again(path, saved):
    edit(path, 'title = "Shop"', 'title = "Index of /"')
    saved.relearn("shop")

    saved.save()

    assert saved.facts("shop") == {}


def test_what_is_learned_while_a_person_edits_is_kept(path, saved):
    teach(saved, of=endpoint("blog", "https://blog.example/"))
    edit(path, "size = [3525, 5875]", "size = [1, 2]")

    saved.save()

    assert saved.facts("blog")["title"] == "Shop"
    assert saved.facts("shop")["size"] == [1, 2]


def test_an_editor_that_writes_other_line_ends_changes_nothing(path, saved):
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))

    assert "edited" not in Learned(path).facts("shop")
    assert Learned(path).facts("shop") == saved.facts("shop")


def test_a_text_of_many_lines_is_read(path, saved):
    edit(path, 'title = "Shop"', 'title = """\\\n[no.table]"""')

    assert Learned(path).facts("shop")["title"] == "[no.table]"


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ('title = "Shop"', 'title = "Shop', "this is no TOML"),
        ('title = "Shop"', 'titel = "Shop"', "there is no key 'titel'; did you mean 'title'?"),
        ("status = 200", 'status = "200"', "status cannot be '200'"),
        ("size = [3525, 5875]", "size = 3", "size cannot be 3"),
        ("2027-01-15T08:00:00Z", "soon", "expires is not written as 2027-01-31T12:00:00Z"),
    ],
)
def test_what_cannot_be_read_is_set_aside_and_told(path, saved, before, after, told):
    edit(path, before, after)
    teach(saved, of=endpoint("blog", "https://blog.example/"))
    written = path.read_bytes()

    again = Learned(path)
    again.save()

    [(where, message), (_, aside)] = again.problems
    line = written.decode().split("\n").index(after) + 1 if "TOML" in told else 5  # of the table
    assert where == f"{path}:{line}"
    assert told in message
    assert "(at line" not in message
    assert aside == f"as it was, it is now {str(path) + '.wrong-1'!r}"
    assert (path.parent / "learned.toml.wrong-1").read_bytes() == written
    assert Learned(path).problems == []


def test_the_tables_that_can_be_read_are_read(path, saved):
    teach(saved, of=endpoint("blog", "https://blog.example/"))
    saved.save()
    edit(path, '["shop"]', '["shop"')

    again = Learned(path)

    assert again.facts("shop") == {}
    assert again.facts("blog") == saved.facts("blog")


@pytest.mark.parametrize("data", [b"\0\0\0", b"\xff\xfe1\x00", b"= ", b"[[a]]\n", b"\xfc"])
def test_a_file_of_something_else_is_set_aside(path, data):
    path.write_bytes(data)

    learned = Learned(path)
    teach(learned)
    learned.save()

    assert learned.problems
    assert (path.parent / "learned.toml.wrong-1").read_bytes() == data
    assert Learned(path).facts("shop") == learned.facts("shop")


def test_two_files_are_set_aside_under_two_names(path):
    for number in (1, 2):
        path.write_text(f"[{number}")
        Learned(path)

    assert (path.parent / "learned.toml.wrong-2").read_text() == "[2"


def test_a_file_that_was_removed_is_written_again(path, saved):
    path.unlink()

    saved.save()

    assert SHOP in path.read_text()


def test_a_disk_that_is_full_leaves_the_old_file_and_is_told(path, saved, monkeypatch):
    teach(saved, of=endpoint("blog", "https://blog.example/"))
    before = path.read_bytes()

    with monkeypatch.context() as patched:
        patched.setattr(files, "_finish", lambda file: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            saved.save()

    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == ["learned.toml"]
    saved.save()
    assert '["blog"]' in path.read_text()


def test_what_was_learned_anew_stays_so_if_it_could_not_be_written(path, saved, monkeypatch):
    saved.relearn("shop")
    with monkeypatch.context() as patched:
        patched.setattr(files, "_finish", lambda file: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            saved.save()
    edit(path, 'title = "Shop"', 'title = "Index of /"')

    saved.save()

    assert saved.facts("shop") == {}


def test_what_a_person_edited_is_held_against_it_however_often_it_changes(path, saved):
    edit(path, "status = 200", "status = 204")
    saved.save()

    for _ in range(4):
        assert take(saved, *[result()] * 2)[1] == ("status was 204, now 200",)
        take(saved, *[result(status=204)] * 2)


def test_two_greenlets_that_save_do_not_get_into_each_others_way(path, saved):
    teach(saved, of=endpoint("blog", "https://blog.example/"))

    gevent.joinall([gevent.spawn(saved.save) for _ in range(3)], raise_error=True)

    assert Learned(path).facts("blog")


TEXTS = st.text(min_size=1, max_size=20)


@settings(max_examples=100)
@given(
    TEXTS,
    st.builds(
        Profile,
        of=TEXTS,
        address=TEXTS,
        checks=st.just(profiles.LEARN_FROM),
        status=st.integers(1, 599),
        url=TEXTS,
        title=TEXTS,
        low=st.integers(0, 9),
        high=st.integers(10, 2**40),
        expires=st.integers(1, 2**32),
        varies=st.lists(st.sampled_from(profiles.FACTS)).map(tuple),
    ),
)
def test_any_profile_is_read_back_as_it_was_also_by_other_readers(name, profile):
    text = tables.table(name, profile)

    [(_, chunk)] = tables.chunks(text)
    read, said, is_ours = tables.parse(chunk)
    again, wrong = tables.profile_of(read, said, is_ours)

    assert (read, wrong, again.is_saved) == (name, [], True)
    again.is_saved = False
    assert again == profile
    assert tomllib.loads(text) == {name: said}


def test_a_long_file_is_read_and_written_in_slices_that_let_others_run(path):
    learned = Learned(path)
    options = Options()
    for number in range(1000):
        teach(learned, of=Endpoint(f"site{number}", f"https://site{number}.example/", options))
    waits, stop = [], []

    def others():
        while not stop:
            began = time.perf_counter()
            gevent.sleep(0)
            waits.append(time.perf_counter() - began)

    other = gevent.spawn(others)
    learned.save()
    stop.append(True)
    other.join()

    assert len(waits) > 10
    assert sorted(waits)[len(waits) * 9 // 10] < 0.02
    began = time.process_time()
    again = Learned(path)
    assert time.process_time() - began < 0.5
    assert again.facts("site999")


def test_the_file_is_for_its_owner_alone_whatever_the_umask(path):
    learned = Learned(path)
    teach(learned)
    before = os.umask(0)
    try:
        learned.save()
    finally:
        os.umask(before)

    assert path.stat().st_mode & 0o777 == 0o600


def test_the_file_stays_as_readable_as_somebody_made_it(saved, path):
    path.chmod(0o640)
    saved.relearn("shop")
    saved.save()

    assert SHOP not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o640
