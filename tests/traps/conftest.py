"""What is said before the rows run."""

from children_of_rows import TIMES, libfaketime


def pytest_report_header():
    where = libfaketime() or "not found, so the rows with a stepped clock are left out"
    return f"each row {TIMES} times on ours; libfaketime: {where}"
