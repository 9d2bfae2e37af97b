"""Make .venv and install the pinned Python packages; a second run finds its stamp and ends at once.
The Node side is setup_node.py."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
STAMP = VENV / "oriel-setup.json"
REQUIREMENTS = ROOT / "tools" / "model-export" / "requirements.txt"
DEV_REQUIREMENTS = REQUIREMENTS.with_name("requirements-dev.txt")
INPUTS = (
    REQUIREMENTS,
    DEV_REQUIREMENTS,
    REQUIREMENTS.with_name("requirements-publish.txt"),
    REQUIREMENTS.with_name("requirements-plot.txt"),
    REQUIREMENTS.with_name("requirements-dashboards.txt"),
    REQUIREMENTS.with_name("constraints.txt"),
    ROOT / "pyproject.toml",
    Path(__file__),
)
OLDEST_PYTHON = (3, 11)


def main() -> int:
    """Install what `make demo` needs; with --dev also what `make test` needs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dev", action="store_true", help="also the tests' and linters' packages")
    dev = bool(parser.parse_args().dev)
    if sys.version_info < OLDEST_PYTHON:
        have = ".".join(map(str, sys.version_info[:3]))
        return _fail(f"Python 3.11 or newer is needed, this is {have}: make PYTHON=python3.12 …")
    if is_done(dev):
        return 0
    try:
        make_venv()
        install_torch(pinned_torch())
        requirements = DEV_REQUIREMENTS if dev else REQUIREMENTS
        say("installing the pinned Python packages")
        pip("install", "-r", str(requirements))
        pip("install", "--no-deps", "--editable", str(ROOT))
    except subprocess.CalledProcessError as error:
        command = " ".join(map(str, error.cmd))
        return _fail(f"{command} ended with {error.returncode}: see above, then run it again")
    except SetupError as error:
        return _fail(str(error))
    STAMP.write_text(json.dumps({"inputs": inputs_digest(), "dev": dev}), encoding="utf-8")
    say("Python packages are ready in .venv")
    return 0


class SetupError(Exception):
    """The user must do something first; the text says so in one line."""


def is_done(dev: bool) -> bool:
    """Return whether the stamp says that exactly these requirements were installed."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
        return bool(stamp["inputs"] == inputs_digest() and (stamp["dev"] or not dev))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def inputs_digest() -> str:
    """Hash the requirement files and the folder's path: a moved environment doesn't work."""
    digest = hashlib.sha256(str(ROOT).encode())
    for file in INPUTS:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def venv_python() -> Path:
    """Return the path of the environment's interpreter."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def make_venv() -> None:
    """Make a new .venv, unless one that works is there."""
    if venv_python().exists() and _works([str(venv_python()), "-m", "pip", "--version"]):
        return
    try:
        import ensurepip  # noqa: F401 - Debian leaves it out of python3
        import venv  # noqa: F401
    except ImportError:
        raise SetupError(
            "Python's venv module is missing: apt install python3-venv, then run it again"
        ) from None
    say("making .venv")
    run([sys.executable, "-m", "venv", "--clear", str(VENV)])


def pinned_torch() -> str:
    """Return torch's version in requirements.txt."""
    match = re.search(r"^torch==(\S+)$", REQUIREMENTS.read_text(encoding="utf-8"), re.MULTILINE)
    if match is None:
        raise SetupError("requirements.txt pins no torch")
    return match.group(1)


def install_torch(version: str) -> None:
    """Install torch at that version; on Linux without a GPU the far smaller CPU build."""
    if installed_torch() == version:
        return
    if sys.platform != "linux" or _works(["nvidia-smi"]):
        say(f"installing torch {version}")
        pip("install", f"torch=={version}")
        return
    say(f"installing torch {version}, CPU build")
    # A mirror or local wheel folder that the user configured may have the CPU build.
    if pip("install", "--retries", "1", f"torch=={version}+cpu", check=False):
        return
    # uv knows where the CPU builds are.
    if pip("install", "--quiet", "uv", check=False):
        uv = venv_python().with_name("uv")
        arguments = ["pip", "install", "--python", str(venv_python()), "--torch-backend=cpu"]
        if run([str(uv), *arguments, f"torch=={version}"], check=False):
            return
    say("no CPU build could be had: taking the package index's own, which may be several GB")
    pip("install", f"torch=={version}")


def installed_torch() -> str | None:
    """Return the public part of the installed torch's version: 2.13.0 for 2.13.0+cpu."""
    code = "from importlib.metadata import version; print(version('torch').partition('+')[0])"
    command = [str(venv_python()), "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def pip(*arguments: str, check: bool = True) -> bool:
    """Run the environment's pip; with check=False, say whether it worked and keep it quiet."""
    quiet = [] if sys.stdout.isatty() else ["--quiet"]
    common = ["--disable-pip-version-check", "--no-input", *quiet]
    return run([str(venv_python()), "-m", "pip", *arguments, *common], check=check)


def run(command: list[str], check: bool = True) -> bool:
    """Run a command. A failure raises or, with check=False, returns False and hides stderr."""
    stderr = None if check else subprocess.DEVNULL
    return subprocess.run(command, check=check, stderr=stderr).returncode == 0


def _works(command: list[str]) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def say(text: str) -> None:
    """Print a line about the current step."""
    print(f"setup: {text}", flush=True)


def _fail(text: str) -> int:
    print(f"setup: {text}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
