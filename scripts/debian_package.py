"""Install one of Debian's packages, for programs that tests need."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys


def install(package: str) -> bool:
    """Install as root, or by sudo where it asks for no password. Return False if neither works."""
    if shutil.which("apt-get") is None:
        return False
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    before: list[str] = [] if root else ["sudo", "-n"]
    if not root and shutil.which("sudo") is None:
        return False
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", package]):
        command = [*before, "apt-get", "--quiet", *arguments]
        print(" ".join(command), file=sys.stderr, flush=True)
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False
        )
        # A package list that can't be refreshed may still serve.
        if done.returncode != 0 and arguments[0] != "update":
            return False
    return True
