"""What is run here was downloaded, by the tox environment `outside`; else nothing is run."""

import os

collect_ignore_glob = [] if "OUTSIDE_SOURCES" in os.environ else ["test_*.py"]
