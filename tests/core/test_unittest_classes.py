"""A patch that decorates a unittest class holds during each of its tests, and only then."""

import io
import types
import unittest

import pytest
from helpers import noting, pass_through, spaces

import safepatch


@pytest.fixture
def shop():
    """A module with a function to patch, and a log of what was seen when."""
    module = types.ModuleType("shop")
    module.log = []
    module.price = lambda: module.log.append("called")
    return module


@pytest.fixture(autouse=True)
def nothing_but_the_log_changes(shop):
    before = spaces(shop)
    yield
    assert before == spaces(shop)


def run(*cases):
    """Run test cases with unittest's own runner; the result, and what it printed."""
    suite = unittest.TestSuite(map(unittest.defaultTestLoader.loadTestsFromTestCase, cases))
    stream = io.StringIO()
    result = unittest.TextTestRunner(stream, verbosity=2).run(suite)
    result.printed = stream.getvalue()
    return result


def seen(shop, original):
    """Whether somebody who calls now runs the patch."""
    return "patched" if shop.price is not original else "as it was"


def make_case(shop):
    """A test class that notes, in each of its stages, what it sees."""
    original = shop.price

    def note(stage):
        shop.log.append((stage, seen(shop, original)))

    class Case(unittest.TestCase):
        @classmethod
        def setUpClass(cls):
            note("setUpClass")

        @classmethod
        def tearDownClass(cls):
            note("tearDownClass")

        def setUp(self):
            note("setUp")
            self.addCleanup(note, "cleanup")

        def tearDown(self):
            note("tearDown")

        def test_a(self):
            note("test_a")

        def test_b(self):
            """What it is for."""
            note("test_b")
            self.addCleanup(note, "cleanup of test_b")

        def helper(self):
            note("helper")

    return Case


def test_each_test_method_runs_patched_and_its_set_up_and_tear_down_do_not(shop):
    case = safepatch.patch((shop, "price"), pass_through)(make_case(shop))

    result = run(case)

    assert (result.testsRun, result.wasSuccessful()) == (2, True)
    assert shop.log == [
        ("setUpClass", "as it was"),
        ("setUp", "as it was"),
        ("test_a", "patched"),
        ("tearDown", "as it was"),
        ("cleanup", "as it was"),
        ("setUp", "as it was"),
        ("test_b", "patched"),
        ("tearDown", "as it was"),
        ("cleanup of test_b", "as it was"),
        ("cleanup", "as it was"),
        ("tearDownClass", "as it was"),
    ]


def test_the_decorators_are_called_afresh_for_each_test(shop):
    made = []

    def decorate(wrapped):
        made.append(wrapped)
        return pass_through(wrapped)

    run(safepatch.patch((shop, "price"), decorate)(make_case(shop)))

    assert len(made) == 2


def test_names_and_docstrings_of_the_tests_are_reported_as_before(shop):
    def told(case):
        return [line.split(" ... ")[0] for line in run(case).printed.splitlines()[:3]]

    plain, decorated = make_case(shop), make_case(shop)
    safepatch.patch((shop, "price"), pass_through)(decorated)

    assert told(plain) == told(decorated)


def outcomes(result):
    return {
        "run": result.testsRun,
        "failures": [test.id().split(".")[-1] for test, _ in result.failures],
        "errors": [test.id().split(".")[-1] for test, _ in result.errors],
        "skipped": [(test.id().split(".")[-1], why) for test, why in result.skipped],
        "expected": len(result.expectedFailures),
        "unexpected": len(result.unexpectedSuccesses),
    }


def make_eventful_case():
    """A class whose tests end in every way there is."""

    class Eventful(unittest.TestCase):
        def test_passes(self):
            pass

        def test_fails(self):
            self.fail("on purpose")

        def test_raises(self):
            raise KeyError("on purpose")

        @unittest.skip("not today")
        def test_is_skipped(self):
            raise AssertionError

        def test_skips_itself(self):
            self.skipTest("not now")

        @unittest.expectedFailure
        def test_is_expected_to_fail(self):
            self.fail("on purpose")

        @unittest.expectedFailure
        def test_is_expected_to_fail_and_does_not(self):
            pass

        def test_has_sub_tests(self):
            for number in range(3):
                with self.subTest(number=number):
                    assert number != 1

    return Eventful


@pytest.mark.parametrize("options", [{}, {"scope": "context"}], ids=str)
def test_tests_that_fail_raise_or_are_skipped_are_counted_as_before(shop, options):
    expected = outcomes(run(make_eventful_case()))
    case = safepatch.patch((shop, "price"), pass_through, **options)(make_eventful_case())

    found = outcomes(run(case))

    assert expected == found
    assert (len(found["failures"]), found["errors"]) == (2, ["test_raises"])


def test_a_class_that_is_skipped_patches_nothing(shop):
    log = []
    skipped = unittest.skip("not today")(make_case(shop))

    result = run(safepatch.patch((shop, "price"), noting(log, "ran"))(skipped))

    assert len(result.skipped) == 2
    assert shop.log == []


def test_a_patch_may_be_entered_in_set_up_and_left_by_the_runner(shop):
    original = shop.price

    class Case(unittest.TestCase):
        def setUp(self):
            self.patch = self.enterContext(safepatch.patch((shop, "price"), pass_through))

        def test_it(self):
            shop.log.append((self.patch.state, seen(shop, original)))

        def tearDown(self):
            shop.log.append(("tearDown", seen(shop, original)))

    result = run(Case)

    assert result.wasSuccessful(), result.printed
    assert shop.log == [("applied", "patched"), ("tearDown", "patched")]
