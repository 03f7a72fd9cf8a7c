"""Pictures of the built pages in Chromium, wide as a desktop's window and as a phone's, to look at.

sphinx-build docs docs/_build/html && python docs/look.py docs/_build/html /tmp/pictures
"""

from __future__ import annotations

import pathlib
import subprocess
import sys
import tempfile

WIDTHS = {"desktop": 1280, "phone": 390}
OPTIONS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--hide-scrollbars",
]


def look(page: pathlib.Path, picture: pathlib.Path, width: int, height: int) -> None:
    """Chromium's windows are at least 500 wide, so the page is shown in a frame of its own."""
    with tempfile.TemporaryDirectory() as profile:
        frame = pathlib.Path(profile, "frame.html")
        frame.write_text(
            f'<body style="margin:0"><iframe src="{page.resolve().as_uri()}" '
            f'style="border:0;width:{width}px;height:{height}px"></iframe>'
        )
        size = f"--window-size={max(width, 500)},{height}"
        command = ["chromium", *OPTIONS, f"--user-data-dir={profile}/profile", size]
        command += [f"--screenshot={picture}", frame.as_uri()]
        subprocess.run(command, check=True, timeout=60, capture_output=True)


def main() -> None:
    site, pictures, *names = map(pathlib.Path, sys.argv[1:])
    pictures.mkdir(parents=True, exist_ok=True)
    for page in [site / name for name in names] or sorted(site.rglob("*.html")):
        for device, width in WIDTHS.items():
            name = "-".join(page.relative_to(site).with_suffix("").parts)
            look(page, pictures / f"{name}-{device}.png", width, 2400)


if __name__ == "__main__":
    main()
