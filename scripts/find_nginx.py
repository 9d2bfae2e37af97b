"""Print the path of an nginx that works, for the tests of publishing; where there is none, install
Debian's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from debian_package import install

# On Debian, users' PATH has no sbin.
PLACES = ("/usr/sbin/nginx", "/usr/local/sbin/nginx")
HINT = (
    "no nginx was found for the tests of publishing: install one (Debian: apt install nginx-light; "
    "macOS: brew install nginx), or set ORIEL_NGINX to one"
)


def main() -> int:
    """Print the path; or print a hint on standard error and return exit code 1."""
    given = os.environ.get("ORIEL_NGINX")
    if given:
        if works(given):
            print(given)
            return 0
        print(f"ORIEL_NGINX names no nginx: {given}", file=sys.stderr)
        return 1
    found = find() or (find() if install("nginx-light") else None)
    print(found or HINT, file=sys.stdout if found else sys.stderr)
    return 0 if found else 1


def find() -> str | None:
    """Return the first that starts."""
    named = shutil.which("nginx")
    return next(filter(works, [named, *PLACES] if named else PLACES), None)


def works(path: str) -> bool:
    """Return whether it starts."""
    try:
        done = subprocess.run([path, "-v"], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
