"""What is wrong in a configuration is said at once, all of it, with file, key and the name that
was probably meant."""

import sys

import pytest

import safepatch
from safepatch import ConfigError, config


def patch(*lines):
    return "\n".join(
        ["[patches.it]", 'target = "corner_shop:price"', 'decorators = ["count_calls"]', *lines]
    )


def decorated(*entries):
    return f'[patches.it]\ntarget = "corner_shop:price"\ndecorators = [{", ".join(entries)}]'


WRONG = {
    # Keys.
    "patchs = {}": "patchs: there is no such key; did you mean 'patches'?",
    "colour = 1": "colour: there is no such key; there is patches",
    "patches = 3": "patches: 3 is not a table of patches",
    "[patches]\nit = 3": "patches.it: 3 is not a table",
    '[patches."a.b"]\ntarget = "m:f"\ndecorators = ["count_calls"]': (
        "patches.\"a.b\": 'a.b' is no name for a patch: leave out ':' and '.'"
    ),
    '[patches."a:b"]\ntarget = "m:f"\ndecorators = ["count_calls"]': (
        "patches.\"a:b\": 'a:b' is no name for a patch: leave out ':' and '.'"
    ),
    '[patches."a\\nb"]\ntarget = "m:f"\ndecorators = ["count_calls"]': (
        "patches.\"a\\nb\": 'a\\nb' is no name for a patch: "
        "leave out what does not print, such as line ends"
    ),
    '[patches.it]\ntaret = "m:f"\ndecorators = ["count_calls"]': (
        "patches.it.taret: there is no such key; did you mean 'target'?"
    ),
    patch("require = []"): "patches.it.require: there is no such key; did you mean 'requires'?",
    patch('name = "that"'): (
        "patches.it.name: the name of a patch is that of its table; leave this out"
    ),
    patch('recipe = "dns-cache"'): [
        "patches.it.target: this goes with a target, and here is a recipe; leave out one of them",
        "patches.it.decorators: this goes with a target, and here is a recipe; "
        "leave out one of them",
    ],
    patch("with = {ttl = 60}"): (
        "patches.it.with: this goes with a recipe, and here is a target; leave out one of them"
    ),
    '[patches.dns-cache]\nrecipe = "dns-cache"\nwhen = "now"': (
        "patches.dns-cache.when: this goes with a target, and here is a recipe; "
        "leave out one of them"
    ),
    # What is missing.
    '[patches.it]\ndecorators = ["count_calls"]': (
        "patches.it.target: this is missing; a patch has a target, and decorators to put on it"
    ),
    '[patches.it]\ntarget = "corner_shop:price"': (
        "patches.it.decorators: this is missing; a patch has a target, and decorators to put on it"
    ),
    decorated(): (
        "patches.it.decorators: this is missing; a patch has a target, and decorators to put on it"
    ),
    '[patches.it]\nrequires = "requests"': [
        "patches.it.target: this is missing; a patch has a target, and decorators to put on it",
        "patches.it.decorators: this is missing; a patch has a target, and decorators to put on it",
    ],
    # Types.
    '[patches.it]\ntarget = "corner_shop.price"\ndecorators = ["count_calls"]': (
        "patches.it.target: 'corner_shop.price' is not a text such as 'module:name'"
    ),
    '[patches.it]\ntarget = 3\ndecorators = ["count_calls"]': (
        "patches.it.target: 3 is not a text such as 'module:name'"
    ),
    '[patches.it]\ntarget = "corner_shop:price"\ndecorators = "count_calls"': (
        "patches.it.decorators: 'count_calls' is not an array"
    ),
    patch('enabled = "yes"'): "patches.it.enabled: 'yes' is not true or false",
    patch("requires = 3"): "patches.it.requires: 3 is not a text or an array, each item a text",
    patch('requires = ["requests", 3]'): (
        "patches.it.requires: ['requests', 3] is not a text or an array, each item a text"
    ),
    patch("signature = true"): "patches.it.signature: True is not a text",
    patch('guard = "check"'): (
        "patches.it.guard: 'check' is not a text such as 'module:name' "
        "or an array, each item a text such as 'module:name'"
    ),
    patch('only_if = "shop_patches:"'): (
        "patches.it.only_if: 'shop_patches:' is not a text such as 'module:name'"
    ),
    patch('on_mismatch = "skipp"'): (
        "patches.it.on_mismatch: 'skipp' is not one of 'raise', 'skip', 'apply'"
    ),
    patch('aliases = "wrn"'): (
        "patches.it.aliases: 'wrn' is not one of 'warn', 'rebind', 'ignore'"
    ),
    patch('scope = "thread"'): ("patches.it.scope: 'thread' is not one of 'process', 'context'"),
    patch('when = "later"'): "patches.it.when: 'later' is not one of 'now', 'import'",
    patch('depends_on = ["stock"]'): (
        "patches.it.depends_on: ['stock'] is not an array, each item a text such as 'module:name'"
    ),
    patch("until = 3"): "patches.it.until: 3 is not a text",
    patch('fail_open = "yes"'): (
        "patches.it.fail_open: 'yes' is not true or false or a whole number"
    ),
    # Values.
    patch("fail_open = -1"): (
        "patches.it.fail_open: fail_open=-1 is below 0; give True or a number of failures"
    ),
    patch('fingerprint = "md5:1"'): (
        "patches.it.fingerprint: 'md5:1' is no fingerprint; "
        "take it from safepatch.fingerprint(target)"
    ),
    patch('signature = "(a, a)"'): (
        "patches.it.signature: '(a, a)' is no signature; write it as '(host, port=0)'"
    ),
    patch('only_from = ""'): (
        "patches.it.only_from: only_from='' is no name; give a text that is not empty"
    ),
    patch('scope = "context"'): (
        "patches.it.scope: scope='context' goes with when='now': an import has no context"
    ),
    # Decorators.
    decorated("3"): (
        "patches.it.decorators[0]: 3 is no decorator; "
        "write 'name', or {use = 'name', option = value}"
    ),
    decorated("{ttl = 3}"): (
        "patches.it.decorators[0]: {'ttl': 3} is no decorator; "
        "write 'name', or {use = 'name', option = value}"
    ),
    decorated('"count_calls"', '"log_calls, memoize"'): (
        "patches.it.decorators[1]: 'log_calls, memoize' is not one decorator; "
        "make each a text of its own"
    ),
    decorated('"ttl_cache(ttl=seconds)"'): (
        "patches.it.decorators[0]: cannot read the decorators 'ttl_cache(ttl=seconds)': "
        "seconds is no plain value; write them as 'ttl_cache(ttl=60), package.module:decorator'"
    ),
    decorated('{use = "tl_cache", ttl = 60}'): (
        "patches.it.decorators[0].use: there is no decorator 'tl_cache'; did you mean 'ttl_cache'?"
    ),
    decorated('"xyz"'): (
        "patches.it.decorators[0].use: there is no decorator 'xyz'; there are circuit_breaker, "
        "count_calls, fault, log_calls, memoize, rate_limit, replace, retry, single_flight, "
        "timeout, ttl_cache, and any 'module:callable'"
    ),
    decorated('{use = "ttl_cache", tl = 60}'): (
        "patches.it.decorators[0].tl: ttl_cache has no option 'tl'; did you mean 'ttl'?"
    ),
    decorated('{use = "replace", func = "shop:fake"}'): (
        "patches.it.decorators[0].func: replace: func = 'shop:fake' "
        'is not {object = "module:name"}'
    ),
    decorated('"ttl_cache(tl=60)"'): (
        "patches.it.decorators[0].tl: ttl_cache has no option 'tl'; did you mean 'ttl'?"
    ),
    decorated('{use = "ttl_cache", ttl = "60"}'): (
        "patches.it.decorators[0].ttl: ttl_cache: ttl = '60' is not a number"
    ),
    decorated('{use = "ttl_cache", ttl = true}'): (
        "patches.it.decorators[0].ttl: ttl_cache: ttl = True is not a number"
    ),
    decorated('{use = "ttl_cache", ttl = 60, maxsize = 1.5}'): (
        "patches.it.decorators[0].maxsize: ttl_cache: maxsize = 1.5 is not a whole number"
    ),
    decorated('{use = "ttl_cache", ttl = 60, key = "shop_patches:asked"}'): (
        "patches.it.decorators[0].key: ttl_cache: key = 'shop_patches:asked' is not "
        '{object = "module:name"}'
    ),
    decorated('{use = "rate_limit", rate = 1, on_limit = "rise"}'): (
        "patches.it.decorators[0].on_limit: rate_limit: on_limit = 'rise' is not "
        "one of 'wait', 'raise'"
    ),
    decorated('{use = "ttl_cache", ttl = 0}'): (
        "patches.it.decorators[0]: ttl_cache: got ttl=0; give a number of seconds above 0"
    ),
    decorated('{use = "ttl_cache"}'): (
        "patches.it.decorators[0]: ttl_cache: got neither ttl nor ttl_of; "
        "say how many seconds results may be kept"
    ),
    decorated('"ttl_cache(60)"'): (
        "patches.it.decorators[0]: ttl_cache takes its options by name, such as ttl=..."
    ),
    decorated("\"count_calls({'object': 'shop_patches:shout'})\""): (
        "patches.it.decorators[0]: count_calls takes its options by name, such as buckets=..."
    ),
    decorated('"retry"'): "patches.it.decorators[0]: retry needs the option 'on'",
    decorated('"replace"'): "patches.it.decorators[0]: replace needs the option 'func'",
    # Recipes.
    "[patches.dns-cach]": (
        "patches.dns-cach: there is no target, and no package offers a recipe 'dns-cach'; "
        "did you mean 'dns-cache'?"
    ),
    '[patches.it]\nrecipe = "dns-cach"': (
        "patches.it.recipe: no package offers a recipe 'dns-cach'; did you mean 'dns-cache'?"
    ),
    "[patches.it]\nrecipe = 3": "patches.it.recipe: 3 is not a text",
    "[patches.dns-cache]\nwith = 3": "patches.dns-cache.with: 3 is not a table",
    "[patches.dns-cache]\nwith = {tl = 3}": (
        "patches.dns-cache.with.tl: the recipe 'dns-cache' has no option 'tl'; did you mean 'ttl'?"
    ),
    "[patches.dns-cache]\nwith = {ttl = -3}": (
        "patches.dns-cache.with: got ttl=-3; give a number of seconds above 0"
    ),
    '[patches.dns-cache]\nwith = {ttl = "3"}': (
        "patches.dns-cache.with.ttl: the recipe 'dns-cache': ttl = '3' is not a number"
    ),
    '[patches.it]\nrecipe = "string:digits"': (
        "patches.it: there is '0123456789', which is no recipe; make declared patches with "
        "safepatch.patch()"
    ),
    '[patches.it]\nrecipe = "gc:isenabled"': (
        "patches.it: <built-in function isenabled> returned True, which is no recipe; "
        "make declared patches with safepatch.patch()"
    ),
    '[patches.it]\nrecipe = "shop_patches:recipes"': (
        "patches.it.recipe: cannot find 'shop_patches:recipes': MODULE has no attribute "
        "'recipes'; did you mean 'recipe'?"
    ),
    '[patches.it]\nrecipe = "shop_patches:one"\nwith = {mark = "m"}': (
        "patches.it.with: <Patch 'corner_shop:stock' declared> takes no options: "
        "it is declared already"
    ),
}


@pytest.mark.parametrize(("text", "expected"), WRONG.items())
def test_what_is_wrong_is_named_by_file_and_key(project, text, expected):
    file = project.configure(text)

    with pytest.raises(ConfigError) as caught:
        config.load()

    error, said = caught.value, expected if isinstance(expected, list) else [expected]
    said = [line.replace("MODULE", repr(sys.modules.get("shop_patches"))) for line in said]
    told = said[0] if len(said) == 1 else "\n  ".join([f"{len(said)} things are wrong", *said])
    assert str(error) == f"{file}: {told}"
    assert error.file == file
    assert [": ".join(problem) for problem in error.problems] == said
    assert error.key == said[0].partition(": ")[0]


def test_all_that_is_wrong_is_in_the_one_error_each_on_its_line(project):
    file = project.configure(
        """
        [tool.safepatch.patches.first]
        taret = "corner_shop:price"
        decorators = ["count_cals"]
        requires = "requests >>> 3"

        [tool.safepatch.patches.second]
        target = "corner_shop:price"
        decorators = ["count_calls"]
        enabled = 1
        """,
        "pyproject.toml",
    )

    with pytest.raises(ConfigError) as caught:
        config.load()

    first, second, third, requirement, last = str(caught.value).splitlines()
    assert first == f"{file}: 4 things are wrong"
    assert second == (
        "  tool.safepatch.patches.first.taret: there is no such key; did you mean 'target'?"
    )
    assert third == (
        "  tool.safepatch.patches.first.decorators[0].use: there is no decorator 'count_cals'; "
        "did you mean 'count_calls'?"
    )
    assert requirement.startswith(
        "  tool.safepatch.patches.first.requires: 'requests >>> 3' is no requirement ("
    )
    assert last == "  tool.safepatch.patches.second.enabled: 1 is not true or false"


def test_a_requirement_or_a_probe_says_until_when(project):
    file = project.configure(patch('until = "requests >>> 3"'))

    with pytest.raises(ConfigError) as caught:
        config.load()

    assert str(caught.value).startswith(
        f"{file}: patches.it.until: 'requests >>> 3' is no requirement ("
    )
    project.configure(patch('until = "shop_patches:asked"'))
    assert config.load().patches["it"].until == "shop_patches:asked"


def test_an_unknown_option_of_a_decorator_of_your_own_is_told_when_it_is_made(project):
    file = project.configure(decorated('{use = "shop_patches:marked", marc = "here"}'))
    read = config.load()

    with pytest.raises(ConfigError) as caught:
        read.patches["it"].make()

    assert str(caught.value) == (
        f"{file}: patches.it.decorators[0]: shop_patches:marked has no option 'marc'; "
        "did you mean 'mark'?"
    )
    assert caught.value.key == "patches.it.decorators[0]"


# The file.


def test_a_file_that_is_no_toml_is_told_with_the_line(project):
    file = project.configure('[patches.it]\ntarget = "a:b"\ntarget = "c:d"\n')

    with pytest.raises(ConfigError) as caught:
        config.load()

    assert str(caught.value) == (
        f"{file}: this is no TOML: Cannot overwrite a value (at line 3, column 15)"
    )


def test_a_file_that_is_nested_too_deeply_is_an_error(project):
    project.configure(f"safepatch = {'[' * 5000}", "pyproject.toml")

    with pytest.raises(ConfigError, match=r"pyproject\.toml: this is no TOML: "):
        config.load()


def test_a_value_that_is_long_is_shown_in_part(project):
    file = project.configure(patch(f'aliases = "{"a" * 1000}"'))

    with pytest.raises(ConfigError) as caught:
        config.load()

    assert str(caught.value) == (
        f"{file}: patches.it.aliases: '{'a' * 96}... is not one of 'warn', 'rebind', 'ignore'"
    )


def test_a_pyproject_that_is_no_toml_is_not_passed_by(project):
    file = project.configure("[tool.safepatch\n", "pyproject.toml")

    with pytest.raises(ConfigError) as caught:
        config.load()

    assert str(caught.value) == (
        f"{file}: this is no TOML: Expected ']' at the end of a table declaration "
        "(at line 1, column 16)"
    )


def test_a_path_in_the_variable_that_does_not_exist_is_an_error(project, monkeypatch):
    monkeypatch.setenv("SAFEPATCH_CONFIG", "gone.toml")

    with pytest.raises(ConfigError) as caught:
        config.load()

    file = project.folder / "gone.toml"
    assert str(caught.value) == f"{file}: there is no such file; SAFEPATCH_CONFIG names it"
    assert caught.value.file == file


def test_a_file_that_cannot_be_read_is_an_error(project):
    with pytest.raises(ConfigError) as caught:
        config.load(project.folder)

    assert str(caught.value) == f"{project.folder}: this cannot be read: Is a directory"


def test_a_file_that_is_no_text_is_an_error(project):
    file = project.configure("")
    file.write_bytes(b"\xff\xfe")

    with pytest.raises(ConfigError, match=r"safepatch\.toml: this is no UTF-8: 'utf-8' codec"):
        config.load()


@pytest.mark.parametrize("text", ["[project]", "tool = 3", "[tool]\nsafepatch = 3"])
def test_a_pyproject_that_is_named_has_our_table(project, text):
    file = project.configure(text, "pyproject.toml")

    with pytest.raises(ConfigError) as caught:
        config.load(file)

    assert str(caught.value) == f"{file}: tool.safepatch: there is no such table"


def test_the_error_is_one_of_ours_and_a_value_error():
    assert issubclass(config.ConfigError, (safepatch.PatchError, ValueError))
    assert config.ConfigError is safepatch.ConfigError
