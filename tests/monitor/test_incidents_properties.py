"""Whatever fails and comes up, in any order: who hears only the events knows what is down."""

from hypothesis import given, settings
from hypothesis import strategies as st
from test_incidents import again
from verdict_helpers import World

from safepatch.monitor.plan import Options

ADDRESSES = [f"192.0.2.{number // 3}" for number in range(9)] + ["198.51.100.1"] * 3
NAMES = [f"e{number}.example{number % 2}.com" for number in range(12)]
GATEWAY = "gateway"

checks = st.tuples(
    st.just("check"),
    st.lists(st.integers(0, 12), min_size=1, max_size=12),
    st.sampled_from(["", "", "timeout", "dns", "refused", "status"]),
)
settles = st.tuples(st.just("settle"), st.sampled_from([0.0, 5.0, 20.0, 20.0, 400.0, 3000.0]))
actions = st.lists(
    checks | settles | st.just(("restart",)) | st.just(("blind",)), min_size=3, max_size=40
)


def world_of_twelve():
    world = World()
    world.add(GATEWAY, "203.0.113.1", Options(confirm_down=1, confirm_up=1))
    for number, name in enumerate(NAMES):
        behind = (GATEWAY,) if number % 4 == 0 else ()
        options = Options(confirm_down=1 + number % 2, confirm_up=1, depends_on=behind)
        world.add(name, ADDRESSES[number], options)
    return world


def play(world, action, told):
    match action:
        case ("check", numbers, error):
            for number in numbers:
                name = [*NAMES, GATEWAY][number]
                address = "" if error == "dns" else [*ADDRESSES, "203.0.113.1"][number]
                world.now += 1
                world.check(name, error, address)
        case ("settle", seconds):
            told += world.settle(seconds)
        case ("blind",):
            assert world.settle(20, blind=True) == []
        case ("restart",):
            again(world)


def need_consistent(world):
    for document in world.incidents.open():
        for name in world.incidents.members(document["id"]):
            status = world.statuses[name]
            assert status.state == "down" or status.flapping
            assert status.incident == document["id"]
    members = [
        name
        for document in world.incidents.open()
        for name in world.incidents.members(document["id"])
    ]
    assert len(members) == len(set(members))


@settings(max_examples=50)
@given(actions)
def test_what_is_told_is_told_once_and_has_an_end(play_list):
    world, told = world_of_twelve(), []
    for action in play_list:
        play(world, action, told)
        need_consistent(world)

    # In the end all that is down is in an incident, or waits for one that is.
    for _ in range(8):
        told += world.settle(100)
    need_consistent(world)
    for status in world.statuses.values():
        fails = status.state == "down" or status.flapping
        assert bool(status.incident) == fails

    # And when all is up and steady for long, nothing is open.
    for _ in range(60):
        for number, name in enumerate(NAMES):
            world.check(name, "", ADDRESSES[number])
        world.check(GATEWAY, "", "203.0.113.1")
        world.now += 60
    told += world.settle(100)
    told += world.settle(100)
    assert world.incidents.open() == []

    assert len({event.id for event in told}) == len(told)
    need_one_end_each(world, told)


def need_one_end_each(world, told):
    for document in world.incidents.recent(1000):
        types = [event.type for event in told if event.incident == document["id"]]
        begin, end = ("flapping", "steady") if document["type"] == "flapping" else ("down", "up")
        assert types[0] == begin
        assert types.count(end) <= 1
        assert end not in types[:-1]
        assert set(types) <= {begin, end}
        assert document["closed"]
