"""Whether a process has grown, from samples of it."""

import statistics

#: What a sample has, and how much more of it there may be at the end than before: at least so
#: much, and such a share.
SETTLES = {
    "rss": (8 << 20, 0.06),
    "fds": (15, 0.0),
    "threads": (4, 0.0),
    "greenlets": (30, 0.1),
    "store": (4 << 20, 0.0),
}
MOST = {"fds": 900, "threads": 40, "greenlets": 1500}  # at any time
PER_CHECK = 40.0  # bytes of history on disk, which keeps each check for a day
LATE = 1.0  # seconds; the median of how late checks are in the median


def leaks(samples):
    """What has grown in the second half, beyond what it was in the first; [] if nothing has.

    What goes up and down, with faults that come and go, is compared by its lower quartile: a leak
    raises that too. The first fifth is left out, in which caches fill.
    """
    samples = samples[len(samples) // 5 :]
    first, second = samples[: len(samples) // 2], samples[len(samples) // 2 :]
    found = []
    for name, (least, share) in SETTLES.items():
        before, after = _low(first, name), _low(second, name)
        if after > before + max(least, share * before):
            found.append(f"{name} grew from {before:.0f} to {after:.0f}")
    for name, most in MOST.items():
        if (highest := max(each[name] for each in samples)) > most:
            found.append(f"{name} came to {highest}")
    return [*found, *_history(samples), *_late(samples)]


def _low(samples, name):
    return statistics.quantiles([each[name] for each in samples], n=4)[0]


def _history(samples):
    checks = samples[-1]["done"] - samples[0]["done"]
    grew = samples[-1]["history"] - samples[0]["history"]
    if grew <= PER_CHECK * checks + (4 << 20):
        return []
    return [f"the history grew by {grew} bytes in {checks} checks"]


def _late(samples):
    late = statistics.median(each["lateness"]["median"] for each in samples)
    return [f"checks were {late:.2f} s late in the median"] if late > LATE else []
