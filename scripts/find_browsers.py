"""Print where Firefox and WebKitGTK are, for the tours, as lines NAME=PATH for `env`; install what
is missing from Debian's packages. Ubuntu has no firefox-esr: there one has to be installed
already."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from debian_package import install


@dataclass(frozen=True)
class Program:
    """One program of the tours: the variable that names it, where it may be, and who brings it."""

    variable: str
    places: Sequence[str]
    package: str


PROGRAMS = (
    Program(
        "ORIEL_FIREFOX",
        ("firefox-esr", "firefox", "/Applications/Firefox.app/Contents/MacOS/firefox"),
        "firefox-esr",
    ),
    Program("ORIEL_WEBKIT_DRIVER", ("WebKitWebDriver",), "webkit2gtk-driver"),
    Program(
        "ORIEL_WEBKIT_BROWSER", ("/usr/lib/*/webkit2gtk-4.*/MiniBrowser",), "webkit2gtk-driver"
    ),
    Program("ORIEL_XVFB", ("Xvfb",), "xvfb"),
)


def main() -> int:
    """Print the lines; or print what is missing on standard error and return exit code 1."""
    missing = False
    for program in PROGRAMS:
        given = os.environ.get(program.variable)
        found = given or find(program) or (find(program) if install(program.package) else None)
        if found is None or shutil.which(found) is None:
            print(
                f"{program.variable}: {found or 'no program'} was not found; install "
                f"{program.package} (Debian: apt install {program.package}), or set "
                f"{program.variable} to the path of one",
                file=sys.stderr,
            )
            missing = True
        else:
            print(f"{program.variable}={shutil.which(found)}")
    return 1 if missing else 0


def find(program: Program) -> str | None:
    """Return the first of the program's places where it exists. Names are looked up on the PATH."""
    for place in program.places:
        if "*" in place:
            paths = sorted(map(str, Path("/").glob(place.lstrip("/"))), reverse=True)
        else:
            paths = [place]
        for path in paths:
            found = shutil.which(path)
            if found is not None:
                return found
    return None


if __name__ == "__main__":
    sys.exit(main())
