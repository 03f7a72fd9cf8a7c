"""A program's folder: its modules, and what configures it."""

import sys
import textwrap

import pytest

import safepatch
from safepatch import startup

MODULES = {
    "corner_shop": """
        def price(name, amount=1):
            return name, amount

        def stock(name):
            return name

        class Till:
            def pay(self, amount):
                return amount
        """,
    "shop_patches": """
        import functools
        import safepatch

        def shout(wrapped):
            @functools.wraps(wrapped)
            def wrapper(*args, **kwargs):
                return "shouted", wrapped(*args, **kwargs)
            return wrapper

        def marked(mark="marked", *, times=1):
            def decorate(wrapped):
                @functools.wraps(wrapped)
                def wrapper(*args, **kwargs):
                    return (mark,) * times + (wrapped(*args, **kwargs),)
                return wrapper
            return decorate

        def check(original):
            return None

        def refuse(original):
            return "guard says no"

        def asked():
            return True

        def recipe(*, mark="recipe"):
            return [
                safepatch.patch("corner_shop:price", marked(mark), when="import"),
                safepatch.patch("corner_shop:stock", marked(mark), when="import"),
            ]

        one = safepatch.patch("corner_shop:stock", shout)
        LIMIT = 2
        """,
}


class Project:
    """The folder; `file` is what the latest `configure` wrote."""

    def __init__(self, folder):
        self.folder, self.file = folder, None
        self.registry = safepatch.Registry()
        self.registry.reads(lambda: startup)

    def configure(self, text, name="safepatch.toml"):
        self.file = self.folder / name
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(textwrap.dedent(text))
        return self.file


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder that a program is started in, and a registry that reads what is configured there
    as the default one does."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SAFEPATCH_CONFIG", raising=False)
    for name, source in MODULES.items():
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        sys.modules.pop(name, None)
    monkeypatch.syspath_prepend(tmp_path)
    made = Project(tmp_path)
    with made.registry:
        yield made
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def offered(project):
    """A package that offers recipes, installed as any other."""
    info = project.folder / "shop_recipes-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop-recipes\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[safepatch.patches]\n"
        "shop-marks = shop_patches:recipe\n"
        "shop-shout = shop_patches:one\n"
        "shop-gone = shop_patches:gone\n"
    )
    return project
