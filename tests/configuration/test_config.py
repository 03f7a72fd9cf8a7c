"""Finding a configuration, and what is read from it."""

import os
import sys
import time

import pytest
from children import child

import safepatch
from safepatch import ConfigError, config

PRICE = """
    [patches.prices]
    target = "corner_shop:price"
    decorators = ["shop_patches:shout"]
    """


# Where it is.


def test_the_nearest_file_above_configures(project):
    below = project.folder / "src" / "deep"
    below.mkdir(parents=True)
    project.configure("[tool.safepatch]", "pyproject.toml")
    near = project.configure("", "src/safepatch.toml")

    assert config.find(below) == near
    assert config.find() == project.folder / "pyproject.toml"


def test_a_pyproject_without_our_table_is_passed_by(project):
    ours = project.configure("[tool.safepatch]", "pyproject.toml")
    project.configure("[tool.other]\nname = 'safepatch'", "src/pyproject.toml")

    assert config.find(project.folder / "src") == ours


def test_a_file_of_our_own_goes_before_a_pyproject(project):
    project.configure("[tool.safepatch]", "pyproject.toml")
    ours = project.configure("")

    assert config.find() == ours


def test_the_variable_goes_before_both_and_is_taken_from_where_the_program_starts(project):
    project.configure("")

    found = config.find(environ={"SAFEPATCH_CONFIG": "etc/other.toml"})

    assert found == project.folder / "etc" / "other.toml"
    assert config.find(environ={"SAFEPATCH_CONFIG": ""}) == project.file


def test_a_path_in_the_variable_may_begin_with_the_home_directory(project, monkeypatch):
    monkeypatch.setenv("HOME", str(project.folder))

    found = config.find(environ={"SAFEPATCH_CONFIG": "~/other.toml"})

    assert found == project.folder / "other.toml"


def test_a_path_in_the_variable_is_found_after_the_program_went_elsewhere(project, monkeypatch):
    project.configure(PRICE, "etc/other.toml")
    monkeypatch.setenv("SAFEPATCH_CONFIG", "etc/other.toml")

    printed = child(
        """
        import os, corner_shop, safepatch
        os.chdir("/")
        print([patch.name for patch in safepatch.apply_all()])
        """,
        path=[project.folder],
    )

    assert printed == "['prices']"


def test_where_there_is_no_file_nothing_is_configured(project):
    assert config.find() is None
    assert config.load() == config.Config(None, {})


# What is read.


@pytest.mark.parametrize("name", ["safepatch.toml", "etc/of-this-program.toml"])
def test_a_file_of_our_own_has_the_tables_without_a_prefix(project, name):
    file = project.configure(PRICE, name)

    assert [*config.load(file).patches] == ["prices"]


@pytest.mark.parametrize("name", ["pyproject.toml", "etc/of-this-program.toml"])
def test_a_pyproject_by_whatever_name_has_them_below_tool(project, name):
    file = project.configure(PRICE.replace("[patches", "[tool.safepatch.patches"), name)

    assert [*config.load(file).patches] == ["prices"]


@pytest.mark.parametrize("content", [PRICE, PRICE.replace("[patches", "[tool.safepatch.patches")])
def test_the_variable_names_a_file_of_either_form(project, monkeypatch, content):
    file = project.configure(content, "elsewhere/conf.toml")
    monkeypatch.setenv("SAFEPATCH_CONFIG", str(file))

    read = config.load()

    assert read.file == file
    assert [*read.patches] == ["prices"]


def test_all_that_is_said_of_a_patch_is_there(project):
    file = project.configure(
        """
        [patches.prices]
        target = "corner_shop:price"
        decorators = ["shop_patches:shout"]
        enabled = false
        depends_on = ["corner_shop:stock"]
        until = "requests>=3"
        """
    )

    patch = config.load().patches["prices"]

    assert patch._replace(make=None) == config.Configured(
        name="prices",
        targets=("corner_shop:price",),
        make=None,
        enabled=False,
        depends_on=("corner_shop:stock",),
        until="requests>=3",
        origin=f"{file}, [patches.prices]",
    )


def test_reading_imports_neither_targets_nor_what_is_put_on_them(project):
    project.configure(
        """
        [patches.prices]
        target = "corner_shop:price"
        decorators = [
            "shop_patches:shout",
            {use = "shop_patches:marked", mark = "here"},
            {use = "ttl_cache", ttl = 60, key = {object = "shop_patches:asked"}},
        ]
        guard = ["shop_patches:check"]
        only_if = "shop_patches:asked"
        until = "shop_patches:asked"
        """
    )

    config.load()

    assert not {"corner_shop", "shop_patches"} & set(sys.modules)


# What it makes.

MADE = {
    "a decorator by its text": ('["shop_patches:shout"]', ("shouted", ("tea", 1))),
    "one without options is not called": (
        '[{use = "shop_patches:shout"}]',
        ("shouted", ("tea", 1)),
    ),
    "one with options is": (
        '[{use = "shop_patches:marked", mark = "here", times = 2}]',
        ("here", "here", ("tea", 1)),
    ),
    "one with parentheses is": ('["shop_patches:marked()"]', ("marked", ("tea", 1))),
    "arguments by position": ("[\"shop_patches:marked('here')\"]", ("here", ("tea", 1))),
    "several, innermost first": (
        '["shop_patches:shout", "shop_patches:marked()"]',
        ("marked", ("shouted", ("tea", 1))),
    ),
    "an object by its name": (
        '[{use = "shop_patches:marked", times = {object = "shop_patches:LIMIT"}}]',
        ("marked", "marked", ("tea", 1)),
    ),
    "an object in an expression": (
        "[\"shop_patches:marked(times={'object': 'shop_patches:LIMIT'})\"]",
        ("marked", "marked", ("tea", 1)),
    ),
    "ours bare": ('["single_flight", {use = "count_calls"}, "memoize()"]', ("tea", 1)),
    "ours with options": (
        '[{use = "ttl_cache", ttl = 60, maxsize = 10}, "log_calls(level=\'INFO\')"]',
        ("tea", 1),
    ),
    "ours with the one thing that is given by position": (
        '[{use = "replace", func = {object = "builtins:max"}}]',
        "tea",
    ),
    "an array for ours": (
        '[{use = "retry", on = ["requests:ConnectionError", {object = "builtins:OSError"}]}]',
        ("tea", 1),
    ),
}


@pytest.mark.parametrize(("decorators", "expected"), MADE.values(), ids=MADE)
def test_decorators_are_made_as_they_are_written(project, decorators, expected):
    project.configure(f'[patches.it]\ntarget = "corner_shop:price"\ndecorators = {decorators}')

    project.registry.apply_all()

    import corner_shop

    with_one = ("tea", "a") if expected == "tea" else ("tea",)
    assert corner_shop.price(*with_one) == expected


def test_an_array_is_a_tuple_to_a_decorator(project):
    project.configure(
        """
        [patches.it]
        target = "corner_shop:price"
        decorators = [{use = "shop_patches:marked", mark = [1, [2]]}]
        """
    )

    project.registry.apply_all()

    import corner_shop

    assert corner_shop.price("tea") == ((1, (2,)), ("tea", 1))


def test_options_of_apply_are_given_to_it(project):
    project.configure(
        """
        [patches.it]
        target = "corner_shop:Till.pay"
        decorators = ["count_calls"]
        requires = ["python>=3.11"]
        signature = "(self, amount)"
        guard = ["shop_patches:check", "shop_patches:check"]
        on_mismatch = "skip"
        aliases = "ignore"
        only_if = "shop_patches:asked"
        when = "now"
        """
    )

    patch = project.registry.apply("it")

    assert patch.state == "applied"
    assert [text for text, _ in patch.verdicts] == [
        "requires python>=3.11",
        "signature (self, amount)",
        "check",
        "check",
    ]
    assert patch.seen_by == ("process", None, sys.modules["shop_patches"].asked)


def test_every_option_of_apply_can_be_configured():
    assert config.config_tables.OPTIONS.keys() == {*safepatch.options.Options.__annotations__} - {
        "name"
    }


def test_a_patch_waits_for_its_module_unless_it_says_when(project):
    project.configure(PRICE)

    project.registry.apply_all()

    assert project.registry.named("prices").state == "pending"
    assert "corner_shop" not in sys.modules


def test_each_make_declares_a_patch_of_its_own(project):
    project.configure(PRICE)
    patch = config.load().patches["prices"]

    assert patch.make() is not patch.make()


def test_a_patch_is_declared_at_the_line_that_configures_it(project):
    file = project.configure(PRICE)

    project.registry.apply_all()

    assert project.registry.named("prices").declared_at == f"{file}:2"


# Expressions.


def test_a_patch_of_one_line_is_named_after_its_target(project):
    text = "corner_shop:Till.pay=shop_patches:marked(times=2), count_calls"

    patch = config.from_expression(text)

    assert (patch.name, patch.targets) == ("corner_shop-Till-pay", ("corner_shop:Till.pay",))
    assert patch.origin == f"the patch {text!r}"
    assert len(patch.make().decorators) == 2


EXPRESSIONS = {
    "corner_shop:price=tl_cache(ttl=60)": (
        "there is no decorator 'tl_cache'; did you mean 'ttl_cache'?"
    ),
    "corner_shop:price=ttl_cache(tl=60)": ("ttl_cache has no option 'tl'; did you mean 'ttl'?"),
    "corner_shop.price=count_calls": ("'corner_shop.price' is not a text such as 'module:name'"),
}


@pytest.mark.parametrize(("text", "expected"), EXPRESSIONS.items())
def test_a_wrong_patch_of_one_line_is_refused(text, expected):
    with pytest.raises(safepatch.ConfigError) as caught:
        config.from_expression(text)

    assert str(caught.value) == f"{text}: {expected}"


def test_what_one_line_names_is_imported_when_the_patch_is_made(project):
    patch = config.from_expression("corner_shop:price=shop_patches:shuot")

    with pytest.raises(safepatch.ConfigError) as caught:
        patch.make()

    module = sys.modules["shop_patches"]
    assert str(caught.value) == (
        "corner_shop:price=shop_patches:shuot: cannot find 'shop_patches:shuot': "
        f"{module!r} has no attribute 'shuot'; did you mean 'shout'?"
    )


def test_a_folder_that_may_not_be_looked_into_has_no_configuration(project, monkeypatch):
    def refuse(path, **options):
        raise PermissionError(13, "Permission denied", os.fspath(path))

    with safepatch.patch("pathlib:Path.is_file", safepatch.decorators.replace(refuse)):
        assert config.find() is None


def test_a_pyproject_that_may_not_be_read_is_not_passed_by(project):
    file = project.configure("[project]", "pyproject.toml")

    def refuse(path, **options):
        raise PermissionError(13, "Permission denied", os.fspath(path))

    with safepatch.patch("pathlib:Path.read_bytes", safepatch.decorators.replace(refuse)):
        assert config.find() == file


HEADS = [
    "[patches.prices]",
    '[patches."prices"]',
    "[ patches . 'prices' ]  # here",
    "[tool.safepatch.patches.prices]",
    '["tool".safepatch."patches".prices]',
]


@pytest.mark.parametrize("head", HEADS)
def test_the_line_of_a_patch_is_that_of_its_table(project, head):
    file = project.configure(PRICE.replace("[patches.prices]", f"\n{head}"))

    patch = config.load().patches["prices"].make()

    assert patch.declared_at == f"{file}:3"


def test_a_patch_that_has_no_line_of_its_own_is_at_the_first(project):
    file = project.configure(
        "patches = {prices = {target = 'corner_shop:price', decorators = ['count_calls']}}"
    )

    patch = config.load().patches["prices"].make()

    assert patch.declared_at == f"{file}:1"


def test_a_patch_within_an_inline_table_is_at_its_line(project):
    file = project.configure(
        """
        [tool.safepatch]
        patches.other = {target = "corner_shop:stock", decorators = ["count_calls"]}
        patches.prices = {target = "corner_shop:price", decorators = ["count_calls"]}
        """,
        "pyproject.toml",
    )

    patch = config.load().patches["prices"].make()

    assert patch.declared_at == f"{file}:4"


def test_to_read_eight_times_as_many_tables_takes_less_than_twenty_times_as_long(project):
    def seconds(number):
        tables = [f"[patches.p{each}]\nenabled = false" for each in range(number)]
        file, best = project.configure("\n".join(tables)), 1e9
        for _ in range(3):
            started = time.process_time()
            config.load(file)
            best = min(best, time.process_time() - started)
        return best

    assert seconds(4000) < 20 * seconds(500)


def test_a_current_directory_that_is_gone_has_no_configuration(project, monkeypatch):
    gone = project.folder / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    assert config.find() is None
    assert config.find(environ={"SAFEPATCH_CONFIG": "/etc/of-this-program.toml"}) is not None
    with pytest.raises(ConfigError, match=r"^the current directory was removed; go to one that"):
        config.find(environ={"SAFEPATCH_CONFIG": "of-this-program.toml"})
