"""The comparison page tells what was measured."""

import pathlib

from children import run_python

ROOT = pathlib.Path(__file__).parent.parent


def test_the_tables_of_the_comparison_are_those_of_the_results():
    run_python("-m", "benchmarks.decorators.page", "--check", path=[ROOT])
