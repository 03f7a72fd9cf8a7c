"""A small package in two versions, each installed in a folder of its own."""

import importlib
import linecache
import sys
import textwrap

OLD = '''
def send(address, weight=1):
    """Send a parcel."""
    return f"{weight} kg to {address}"

def helper(text):
    return text.strip()
'''
NEW = '''
def send(address, weight=1, *, insured=False):
    """Send a parcel, perhaps insured."""
    price = weight * 2 if insured else weight
    return f"{weight} kg to {address} for {price}"

def helper(text):
    return text.strip()
'''


def installed(folder, version, source, name="parcel"):
    """Install one version into a folder, as pip does; the folder."""
    metadata = folder / f"{name}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (folder / f"{name}.py").write_text(textwrap.dedent(source))
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (metadata / "RECORD").write_text(f"{name}.py,,\n{name}-{version}.dist-info/RECORD,,\n")
    return folder


def use(monkeypatch, folder, name="parcel"):
    """Have this process find it there from now on, wherever it was before."""
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    monkeypatch.setitem(sys.modules, name, None)  # so that it is taken away at the end
    del sys.modules[name]
    importlib.invalidate_caches()
    linecache.clearcache()


CONFIGURED = """\
[patches.counted]
target = "parcel:send"
decorators = ["count_calls"]
"""
