"""Install the page's packages with `npm ci`; a second run finds its stamp and ends at once.
The Python side is setup_python.py."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "package-lock.json"
STAMP = ROOT / "node_modules" / ".oriel-setup"


def main() -> int:
    """Install, unless it is done. Return 0 if node_modules then matches package-lock.json."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if STAMP.is_file() and STAMP.read_text(encoding="utf-8") == digest:
        return 0
    oldest = oldest_node()
    wanted = ".".join(map(str, oldest))
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return _fail(f"Node {wanted} or newer with npm is needed, and is not installed")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if numbers(version) < oldest:
        return _fail(f"Node {wanted} or newer is needed, this is {version.strip().lstrip('v')}")
    print("setup: installing the page's packages", flush=True)
    done = subprocess.run([npm, "ci", "--no-fund", "--no-audit"], cwd=ROOT, check=False)
    if done.returncode != 0:
        return _fail(f"npm ci ended with {done.returncode}: see above, then run it again")
    STAMP.write_text(digest, encoding="utf-8")
    return 0


def oldest_node() -> tuple[int, ...]:
    """Read the least version that package.json names under engines."""
    package = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))
    return numbers(package["engines"]["node"])


def numbers(text: str) -> tuple[int, ...]:
    """Parse a version: (20, 19) from '>=20.19', (20, 20, 2) from 'v20.20.2'."""
    return tuple(int(part) for part in re.findall(r"\d+", text))


def _fail(text: str) -> int:
    print(f"setup: {text}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
