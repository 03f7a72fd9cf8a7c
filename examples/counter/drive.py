"""Many requests at once, as `ab -n REQUESTS -c CLIENTS URL` makes them, and a look at the answers.

    python drive.py REQUESTS CLIENTS URL

Each answer is a count. Prints how many answers of each status there were, and whether a count
came twice.
"""

from gevent import monkey

monkey.patch_all()

import collections  # noqa: E402
import sys  # noqa: E402
import urllib.error  # noqa: E402
import urllib.request  # noqa: E402

from gevent.pool import Pool  # noqa: E402


def ask(url: str) -> tuple[int, str]:
    """Status and body."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def main() -> None:
    requests, clients, url = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    answers = list(Pool(clients).imap_unordered(ask, [url] * requests))
    for status, many in sorted(collections.Counter(status for status, _ in answers).items()):
        print(f"{many} answers {status}")
    counts = [int(body) for status, body in answers if status == 200]
    print(f"the highest count is {max(counts, default=0)}, of {len(set(counts))} different ones")


if __name__ == "__main__":
    main()
