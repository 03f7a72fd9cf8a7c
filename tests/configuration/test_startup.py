"""Applying what is configured: all of it, or nothing."""

import importlib
import re
import subprocess
import sys
import threading
import time

import pytest
from children import child

import safepatch
from safepatch import ConfigError, config, startup

BOTH = """
    [patches.prices]
    target = "corner_shop:price"
    decorators = ["shop_patches:shout"]

    [patches.stocks]
    target = "corner_shop:stock"
    decorators = ["shop_patches:shout"]
    """


def names(registry):
    return [handle.name for handle in registry.handles()]


def test_all_that_is_configured_is_applied(project):
    project.configure(BOTH)

    project.registry.apply_all()

    import corner_shop

    assert corner_shop.price("tea") == ("shouted", ("tea", 1))
    assert corner_shop.stock("tea") == ("shouted", "tea")
    project.registry.undo_all()
    assert corner_shop.stock("tea") == "tea"


def test_what_is_registered_by_code_is_applied_with_it(project):
    import corner_shop
    import shop_patches

    project.configure(BOTH)
    project.registry.register("till", "corner_shop:Till.pay", shop_patches.shout)

    live = project.registry.apply_all()

    assert {handle.name for handle in live} == {"prices", "stocks", "till"}
    assert corner_shop.Till().pay(3) == ("shouted", 3)


def test_to_apply_all_twice_is_to_apply_it_once(project):
    import corner_shop

    project.configure(BOTH)
    project.registry.apply_all()
    before = project.registry.handles()

    project.registry.apply_all()

    assert project.registry.handles() == before
    assert corner_shop.stock("tea") == ("shouted", "tea")


def test_what_is_registered_is_not_made_again(project):
    project.configure(BOTH)
    project.registry.apply_all()
    del sys.modules["shop_patches"]
    (project.folder / "shop_patches.py").unlink()

    project.registry.apply_all()

    assert {handle.state for handle in project.registry.handles()} == {"pending"}


def test_what_was_undone_is_applied_again(project):
    import corner_shop

    project.configure(BOTH)
    project.registry.apply_all()
    project.registry.undo("stocks")

    project.registry.apply_all()

    assert corner_shop.stock("tea") == ("shouted", "tea")


def test_what_is_not_enabled_is_left_out_but_can_be_asked_for(project):
    import corner_shop

    project.configure(BOTH + "enabled = false\n")
    project.registry.apply_all()

    assert corner_shop.stock("tea") == "tea"
    assert names(project.registry) == ["prices"]

    project.registry.apply("stocks")
    assert corner_shop.stock("tea") == ("shouted", "tea")


def test_a_name_that_is_configured_can_be_applied_by_it_and_explained(project):
    import corner_shop

    project.configure(BOTH)

    assert "patch 'prices'" in str(project.registry.explain("prices"))
    project.registry.apply("stocks")

    assert corner_shop.price("tea") == ("tea", 1)
    assert corner_shop.stock("tea") == ("shouted", "tea")


def test_a_target_that_is_not_there_is_told_with_file_and_key(project):
    importlib.import_module("corner_shop")
    file = project.configure(BOTH.replace("corner_shop:stock", "corner_shop:stok"))

    with pytest.raises(safepatch.TargetError) as raised:
        project.registry.apply_all()

    told = str(raised.value)
    assert told.startswith(f"{file}, [patches.stocks]: cannot find 'corner_shop:stok': ")
    assert told.endswith("did you mean 'stock'?")
    assert names(project.registry) == []


def test_a_file_may_begin_with_a_byte_order_mark(project):
    file = project.configure(BOTH)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())

    assert sorted(safepatch.startup.names()) == ["prices", "stocks"]


def test_a_registry_of_your_own_reads_no_configuration(project, patches):
    project.configure(BOTH)

    assert patches.apply_all() == []
    with pytest.raises(safepatch.TargetError):
        patches.apply("stocks")


def test_an_unknown_name_is_told_the_nearest_that_is_configured(project):
    project.configure(BOTH)

    with pytest.raises(safepatch.TargetError, match="did you mean 'stocks'"):
        project.registry.apply("stock")


def test_a_mistake_in_the_configuration_is_told_by_who_reads_it_and_not_by_undo(project):
    project.configure("patchs = 1")

    with pytest.raises(safepatch.TargetError, match="no patch 'stocks'"):
        project.registry.undo("stocks")
    with pytest.raises(ConfigError, match="did you mean 'patches'"):
        project.registry.apply("stocks")


def test_a_guard_that_says_no_when_the_module_comes_is_told_at_the_line_that_configures(project):
    project.configure(BOTH + 'signature = "(colour)"\n')
    project.registry.apply_all()

    with pytest.warns(safepatch.GuardWarning, match="guard wants the signature") as caught:
        import corner_shop

    assert [(warning.filename, warning.lineno) for warning in caught] == [(str(project.file), 6)]
    assert corner_shop.stock("tea") == "tea"


def test_of_several_patches_of_one_target_the_last_is_outermost(project):
    import corner_shop
    import shop_patches

    project.configure(
        """
        [patches.zebra]
        target = "corner_shop:stock"
        decorators = ["shop_patches:marked('zebra')"]

        [patches.ape]
        target = "corner_shop:stock"
        decorators = ["shop_patches:marked('ape')"]
        """
    )
    project.registry.register("mine", "corner_shop:stock", shop_patches.shout)

    project.registry.apply_all()

    assert corner_shop.stock("tea") == ("ape", ("zebra", ("shouted", "tea")))


# All or nothing.


def test_a_configuration_with_a_mistake_applies_and_registers_nothing(project):
    import corner_shop

    project.configure(BOTH + "aliases = 3\n")

    with pytest.raises(ConfigError, match=r"patches\.stocks\.aliases: 3 is not one of"):
        project.registry.apply_all()

    assert corner_shop.price("tea") == ("tea", 1)
    assert names(project.registry) == []


def test_what_cannot_be_imported_is_told_for_all_and_nothing_is_registered(project):
    file = project.configure(
        BOTH
        + """
        guard = ["shop_patches:check", "shop_patches:chek"]

        [patches.till]
        target = "corner_shop:Till.pay"
        decorators = ["count_calls", "shop_patchs:shout"]
        only_if = "shop_patches:asked"
        """
    )

    with pytest.raises(ConfigError) as caught:
        project.registry.apply_all()

    assert str(caught.value) == (
        f"{file}: 2 things are wrong\n"
        "  patches.stocks.guard: cannot find 'shop_patches:chek': "
        f"{sys.modules['shop_patches']!r} has no attribute 'chek'; did you mean 'check'?\n"
        "  patches.till.decorators[1]: cannot find 'shop_patchs:shout': importing 'shop_patchs' "
        "failed with No module named 'shop_patchs'; did you mean 'shop_patches'?"
    )
    assert names(project.registry) == []


def test_to_register_eight_times_as_many_takes_less_than_twenty_times_as_long(project):
    def seconds(number):
        def make():
            return safepatch.patch("corner_shop:price", len, when="import")

        configured = [config.Configured(f"p{each}", (), make) for each in range(number)]
        best = 1e9
        for _ in range(3):
            started = time.process_time()
            startup.register(configured, safepatch.Registry())
            best = min(best, time.process_time() - started)
        return best

    few = seconds(250)
    assert seconds(2000) < 20 * few


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (
            '{use = "os:system"}',
            "the decorator 'os:system' failed: TypeError: expected str, bytes or os.PathLike "
            "object, not function; it is called with a function, and is to return one",
        ),
        (
            '"builtins:len"',
            "the decorator 'builtins:len' failed: TypeError: object of type 'function' has no "
            "len(); it is called with a function, and is to return one",
        ),
        (
            '"builtins:id"',
            "the decorator 'builtins:id' failed: cannot patch 'corner_shop:price': the decorator "
            "<built-in function id> returned NUMBER, which cannot be called; a decorator takes a "
            "function and returns one",
        ),
        (
            '{use = "os:system", command = "true"}',
            "'os:system' returned 0, which is no decorator; with options, or parentheses, it is "
            "called, and is to return one",
        ),
        (
            '"types:SimpleNamespace()"',
            "'types:SimpleNamespace' returned namespace(), which is no decorator; with options, or "
            "parentheses, it is called, and is to return one",
        ),
        (
            '"random:choice([])"',
            "to call 'random:choice' failed: IndexError: Cannot choose from an empty sequence",
        ),
    ],
)
def test_what_is_no_decorator_is_told_with_file_key_and_name(project, entry, told):
    file = project.configure(
        f"""
        [patches.odd]
        target = "corner_shop:price"
        decorators = ["shop_patches:shout", {entry}]
        """
    )
    importlib.import_module("corner_shop")

    with pytest.raises(ConfigError) as caught:
        project.registry.apply_all()

    said = re.sub(r"returned \d{4,}", "returned NUMBER", str(caught.value))
    assert said == f"{file}: patches.odd.decorators[1]: {told}"
    assert caught.value.key == "patches.odd.decorators[1]"
    assert project.registry.handles() == []


def test_a_breaker_that_is_to_fail_open_is_told_with_file_and_key(project):
    file = project.configure(
        """
        [patches.odd]
        target = "corner_shop:price"
        decorators = [{use = "timeout", seconds = 3}]
        fail_open = true
        """
    )

    with pytest.raises(ConfigError) as caught:
        project.registry.apply_all()

    assert str(caught.value) == (
        f"{file}: patches.odd.fail_open: cannot patch 'corner_shop:price' with timeout and "
        "fail_open: what it raises on purpose would be taken for a failure, and calls go through; "
        "leave it out"
    )


def test_what_a_decorator_of_a_recipe_raises_is_told_with_file_key_and_recipe(project):
    (project.folder / "shop_patches.py").write_text(
        "import safepatch; recipe = safepatch.patch('corner_shop:price', len)"
    )
    file = project.configure('[patches.odd]\nrecipe = "shop_patches:recipe"')

    with pytest.raises(ConfigError) as caught:
        project.registry.apply("odd")

    assert str(caught.value) == (
        f"{file}: patches.odd: a decorator of the recipe 'shop_patches:recipe' failed: "
        "TypeError: object of type 'function' has no len()"
    )


def test_what_a_decorator_in_an_expression_raises_is_told_with_the_expression(project):
    made = config.from_expression("corner_shop:price=os:system").make()
    importlib.import_module("corner_shop")

    with pytest.raises(
        ConfigError, match=r"^corner_shop:price=os:system: the decorator 'os:system'"
    ):
        made.apply()


def test_a_guard_that_says_no_leaves_nothing_applied_nor_registered(project):
    import corner_shop

    project.configure(BOTH + 'guard = "shop_patches:refuse"\n')
    project.registry.register("mine", "corner_shop:Till.pay", lambda wrapped: wrapped)

    with pytest.raises(safepatch.GuardError, match="guard says no"):
        project.registry.apply_all()

    assert corner_shop.price("tea") == ("tea", 1)
    assert names(project.registry) == ["mine"]
    assert project.registry.named("mine").state == "declared"


def test_a_configuration_put_right_is_applied_after_one_that_failed(project):
    import corner_shop

    project.configure(BOTH + 'guard = "shop_patches:refuse"\n')
    with pytest.raises(safepatch.GuardError):
        project.registry.apply_all()
    project.configure(BOTH)

    project.registry.apply_all()

    assert corner_shop.price("tea") == ("shouted", ("tea", 1))


def test_a_name_that_the_program_registered_too_is_refused_with_both_places(project):
    project.configure(BOTH)
    mine = project.registry.register("stocks", "corner_shop:stock", lambda wrapped: wrapped)

    with pytest.raises(ConfigError) as caught:
        project.registry.apply_all()

    assert str(caught.value) == (
        f"{project.file}, [patches.stocks]: the name 'stocks' is taken by the patch of "
        f"'corner_shop:stock' registered at {mine.declared_at}; choose another"
    )
    assert mine.declared_at.startswith(__file__)
    assert names(project.registry) == ["stocks"]


def test_two_threads_that_apply_all_at_once_apply_it_once(project):
    """The second registers everything while the first still imports what is named."""
    import corner_shop

    project.configure(BOTH)
    made = config.load().patches
    begun = []

    def make():
        if not begun:
            begun.append(1)
            thread = threading.Thread(target=project.registry.apply_all)
            thread.start()
            thread.join()
        return made["prices"].make()

    added = startup.register([made["prices"]._replace(make=make)], project.registry)

    assert added == []
    assert corner_shop.price("tea") == ("shouted", ("tea", 1))


# The kill switch.


@pytest.mark.parametrize("listed", ["stocks", "corner_shop:stock"])
def test_what_the_environment_disables_is_skipped(project, monkeypatch, listed):
    import corner_shop

    project.configure(BOTH)
    monkeypatch.setenv("SAFEPATCH_DISABLE", listed)

    project.registry.apply_all()

    assert corner_shop.price("tea") == ("shouted", ("tea", 1))
    assert corner_shop.stock("tea") == "tea"
    assert project.registry.named("stocks").state == "skipped"


def test_a_mistake_does_not_stop_a_program_in_which_everything_is_disabled(
    project, monkeypatch, caplog
):
    import corner_shop

    project.configure(BOTH + "aliases = 3\n")
    monkeypatch.setenv("SAFEPATCH_DISABLE", "*")

    assert project.registry.apply_all() == []

    assert corner_shop.stock("tea") == "tea"
    [record] = caplog.records
    assert record.getMessage() == (
        "what is configured is left out, since SAFEPATCH_DISABLE names everything: "
        f"{project.file}: patches.stocks.aliases: 3 is not one of 'warn', 'rebind', 'ignore'"
    )


# Recipes.


def test_the_recipe_of_a_package_is_configured_by_its_name(offered):
    import corner_shop

    offered.configure('[patches.shop-marks]\nwith = {mark = "configured"}')

    [group] = offered.registry.apply_all()

    assert group.name == "shop-marks"
    assert config.load().patches["shop-marks"].targets == (
        "corner_shop:price",
        "corner_shop:stock",
    )
    assert corner_shop.stock("tea") == ("configured", "tea")
    assert corner_shop.price("tea") == ("configured", ("tea", 1))


def test_a_recipe_may_have_another_name_here(offered):
    import corner_shop

    offered.configure('[patches.mine]\nrecipe = "shop-shout"')

    [patch] = offered.registry.apply_all()

    assert patch.name == "mine"
    assert corner_shop.stock("tea") == ("shouted", "tea")


def test_a_recipe_need_not_be_offered(project):
    import corner_shop

    project.configure('[patches.mine]\nrecipe = "shop_patches:recipe"')

    project.registry.apply_all()

    assert corner_shop.stock("tea") == ("recipe", "tea")


def test_what_is_configured_goes_before_what_a_package_offers(offered):
    import corner_shop

    offered.configure('[patches.shop-marks]\nwith = {mark = "configured"}')

    offered.registry.apply("shop-marks")

    assert corner_shop.stock("tea") == ("configured", "tea")


def test_the_parts_of_a_recipe_are_declared_at_the_line_that_configures_it(offered):
    offered.configure("\n\n[patches.shop-marks]")

    offered.registry.apply_all()

    group = offered.registry.named("shop-marks")
    assert {one.declared_at for one in (group, *group.parts)} == {f"{offered.file}:3"}


def test_a_recipe_that_cannot_be_loaded_is_an_error_unless_it_is_switched_off(offered):
    file = offered.configure("[patches.shop-gone]")

    with pytest.raises(ConfigError) as caught:
        offered.registry.apply_all()

    assert str(caught.value) == (
        f"{file}: patches.shop-gone: module 'shop_patches' has no attribute 'gone'"
    )
    offered.configure("[patches.shop-gone]\nenabled = false")
    assert offered.registry.apply_all() == []


# As a program sees it.

PROGRAM = (
    "import corner_shop, safepatch, sys; safepatch.apply_all(); print(corner_shop.price('tea'))"
)


def test_a_program_needs_one_line(project):
    project.configure(BOTH.replace("[patches", "[tool.safepatch.patches"), "pyproject.toml")

    assert child(PROGRAM, path=[project.folder]) == "('shouted', ('tea', 1))"


def test_a_program_without_a_configuration_imports_nothing_to_read_one(project):
    printed = child(
        f"{PROGRAM}; print({{'tomllib', 'inspect', 'ast'}} & set(sys.modules))",
        path=[project.folder],
    )

    assert printed.splitlines() == ["('tea', 1)", "set()"]


def test_a_program_with_a_mistake_in_its_configuration_does_not_start(project):
    file = project.configure("[patches.prices]\ntaret = 'corner_shop:price'")

    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=30
    )

    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1] == (
        f"safepatch.errors.ConfigError: {file}: patches.prices.taret: "
        "there is no such key; did you mean 'target'?"
    )
    assert ran.stdout == ""
