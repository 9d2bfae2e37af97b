"""Print the path of a Chromium that works, for the browser tests; where there is none, install
Debian's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from debian_package import install

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
HINT = (
    "no Chromium was found for the browser tests: install one (Debian: apt install chromium; "
    "elsewhere: npx playwright install chromium), or set ORIEL_CHROMIUM to a Chrome or Chromium"
)


def main() -> int:
    """Print the path; or print a hint on standard error and return exit code 1."""
    given = os.environ.get("ORIEL_CHROMIUM") or os.environ.get("CHROME_PATH")
    if given:
        if works(given):
            print(given)
            return 0
        print(f"ORIEL_CHROMIUM or CHROME_PATH names no browser: {given}", file=sys.stderr)
        return 1
    found = find() or (find() if install("chromium") else None)
    print(found or HINT, file=sys.stdout if found else sys.stderr)
    return 0 if found else 1


def find() -> str | None:
    """Return the first candidate that starts."""
    return next(filter(works, candidates()), None)


def candidates() -> Iterator[str]:
    """Yield browsers on the PATH, in the usual places, and in Playwright's own folder."""
    for name in NAMES:
        path = shutil.which(name)
        if path is not None:
            yield path
    yield from PLACES
    cache = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or "~/.cache/ms-playwright")
    own = cache.expanduser().glob("chromium-*/chrome-linux*/chrome")
    yield from sorted(map(str, own), reverse=True)


def works(path: str) -> bool:
    """Return whether it starts. Ubuntu's `chromium-browser` is a stub where there is no snap."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
