"""The JSON file of settings that lies beside a dictionary's weights; its contents are untrusted."""

from __future__ import annotations

from pathlib import Path

from oriel.contract.json_value import JsonObject
from oriel.contract.limits import limits
from oriel.contract.strict_json import read_json
from oriel.errors import BundleError, ContractError


def read_settings(file: Path) -> JsonObject:
    """Return the object of a JSON file. Raises BundleError for a file that can't be read, is larger
    than contracts/limits.json allows, or holds anything else."""
    try:
        size = file.stat().st_size
        if size > limits()["json"]["bytes"]:
            raise _damaged(file, f"{size} bytes")
        found = read_json(file.read_bytes(), file.name)
    except OSError as error:
        raise _damaged(file, error.strerror or str(error)) from error
    except ContractError as error:
        raise _damaged(file, str(error.got or error.what)) from error
    if not isinstance(found, dict):
        raise _damaged(file, "something other than an object")
    return found


def _damaged(file: Path, got: str) -> BundleError:
    return BundleError(
        f"{file.parent.name}/{file.name} can't be read",
        got=got,
        expected="an object of settings",
        next_step="download it again.",
    )
