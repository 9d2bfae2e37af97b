"""The house's own rules: imports point one way, every file says what it holds, versions are pinned,
and nothing of one machine or network stands in the repository."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
EXPORTER = ROOT / "tools" / "model-export"
ORIEL = EXPORTER / "oriel"
PAGE = ROOT / "apps" / "web" / "src"

# From the ground up. A part may import what stands on a lower step, itself, and FREE; nothing else.
PYTHON_STEPS = (
    {"contract"},
    {"tokenizers"},
    {"models"},
    {"capture"},
    {"graph"},
    {"bundle"},
    {"precision"},
    {"publishing", "verification", "formats", "measure"},
    {"fidelity"},
    {"export_bundle", "quantize_bundle"},
    {"commands"},
    {"cli"},
    {"__main__"},
)
# What every part may import: they import nothing of ours but each other, in this order.
PYTHON_FREE = ("oriel", "errors", "precisions", "options", "progress")
PAGE_STEPS = (
    {"contract", "host"},
    {"bundle", "tokenizer"},
    {"inference"},
    {"analysis"},
    {"charts", "activations", "url"},
    {"i18n"},
    {"views"},
    {"the page's root"},
)


def tracked_files() -> list[Path]:
    """What git tracks, or would if it were added."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


TRACKED = tracked_files()
PYTHON_FILES = [file for file in TRACKED if file.suffix == ".py"]
SCRIPT_SUFFIXES = {".ts", ".js", ".mjs", ".svelte"}
SCRIPT_FILES = [
    file for file in TRACKED if file.suffix in SCRIPT_SUFFIXES and file.name != "generated.ts"
]


def named(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def step_of(part: str, steps: tuple[set[str], ...]) -> int:
    """How high a part stands; a new one must be given its place above."""
    for height, parts in enumerate(steps):
        if part in parts:
            return height
    raise AssertionError(f"{part} has no place in the order of imports yet")


def imported_modules(file: Path) -> Iterator[str]:
    """Every module of ours that a Python file imports, wherever in the file."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{named(file)}: a relative import"
            # `from oriel import errors` imports a module too.
            base = node.module or ""
            names = [f"{base}.{alias.name}" for alias in node.names] if base == "oriel" else [base]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "oriel")


def python_part(module: str) -> str:
    """'graph' of oriel.graph.taps; 'oriel' of the package itself and what it defines."""
    parts = module.split(".")
    inside = len(parts) > 1 and any((ORIEL / f"{parts[1]}{end}").exists() for end in ("", ".py"))
    return parts[1] if inside else "oriel"


@pytest.mark.parametrize("file", sorted(ORIEL.rglob("*.py")), ids=lambda f: named(f)[24:])
def test_python_imports_point_one_way(file: Path) -> None:
    part = file.relative_to(ORIEL).parts[0].removesuffix(".py")
    part = "oriel" if part == "__init__" else part
    for module in imported_modules(file):
        other = python_part(module)
        if other == part:
            continue
        if part in PYTHON_FREE:
            earlier = PYTHON_FREE[: PYTHON_FREE.index(part)]
            assert other in earlier, f"{part} may import none of ours but {earlier}, not {module}"
        elif other not in PYTHON_FREE:
            below = step_of(other, PYTHON_STEPS) < step_of(part, PYTHON_STEPS)
            assert below, f"{part} stands below {other} and may not import {module}"


def test_entries_only_hand_over() -> None:
    for file in EXPORTER.glob("*.py"):
        assert set(imported_modules(file)) == {"oriel.cli"}, named(file)
        assert len(file.read_text(encoding="utf-8").splitlines()) < 15, named(file)


def imported_files(file: Path) -> Iterator[Path]:
    """Every file of ours that a script imports, starts as a worker, or takes a type from."""
    text = file.read_text(encoding="utf-8")
    targets = re.findall(r"""\b(?:from|import|import\()\s*['"](\.[^'"]+)['"]""", text)
    targets += re.findall(r"""new URL\(\s*['"](\.[^'"]+)['"]""", text)
    yield from ((file.parent / target).resolve() for target in targets)


def page_part(file: Path) -> str:
    parts = file.relative_to(PAGE).parts
    return parts[0] if len(parts) > 1 else "the page's root"


PAGE_FILES = [file for file in SCRIPT_FILES if PAGE in file.parents]


@pytest.mark.parametrize("file", PAGE_FILES, ids=lambda f: f.relative_to(PAGE).as_posix())
def test_the_pages_imports_point_one_way(file: Path) -> None:
    part = page_part(file)
    for target in imported_files(file):
        if PAGE not in target.parents:
            assert target.parent == ROOT / "contracts", f"imports {target} from outside the page"
            continue
        other = page_part(target)
        if other not in (part, "styles"):
            below = step_of(other, PAGE_STEPS) < step_of(part, PAGE_STEPS)
            assert below, f"{part} stands below {other} and may not import {target.name}"


def test_analysis_touches_neither_the_document_nor_svelte() -> None:
    for file in PAGE_FILES:
        if page_part(file) == "analysis":
            text = file.read_text(encoding="utf-8")
            assert file.suffix == ".ts", named(file)
            assert not re.search(r"\b(document|window)\.|from 'svelte", text), named(file)


def test_no_file_is_a_drawer_for_odds_and_ends() -> None:
    drawers = {"utils", "util", "helpers", "helper", "misc", "common"}
    assert [named(f) for f in TRACKED if f.name.split(".")[0].lower() in drawers] == []


def test_every_python_module_says_what_it_holds() -> None:
    silent = [f for f in PYTHON_FILES if not ast.get_docstring(ast.parse(f.read_text("utf-8")))]
    assert list(map(named, silent)) == []


def test_every_script_and_component_begins_with_what_it_holds() -> None:
    begins = re.compile(r"\s*(//|/\*|<!--)")
    silent = [f for f in SCRIPT_FILES if not begins.match(f.read_text(encoding="utf-8"))]
    assert list(map(named, silent)) == []


def test_no_host_of_a_package_index_is_named() -> None:
    # The backslashes keep this line from naming them.
    hosts = r"registry\.npmjs|npmmirror\.com|pypi\.org|pythonhosted\.org|pytorch\.org/whl"
    assert find_in_files(re.compile(hosts, re.IGNORECASE)) == []
    lock = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))
    assert [name for name, entry in lock["packages"].items() if "resolved" in entry] == []


def test_no_path_of_one_machine_is_named() -> None:
    folders = "|".join(("home", "root", "Users", "work", "opt", "mnt"))
    assert find_in_files(re.compile(rf"(?<![\w.:/~$)}}])/(?:{folders})/\w")) == []


def find_in_files(pattern: re.Pattern[str]) -> list[str]:
    """file:line of every line of text that matches."""
    found: list[str] = []
    for file in TRACKED:
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if pattern.search(text):
            lines = enumerate(text.splitlines(), 1)
            found += [f"{named(file)}:{number}" for number, line in lines if pattern.search(line)]
    return found


def requirements(name: str) -> list[Requirement]:
    lines = (EXPORTER / name).read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def pins(name: str) -> dict[str, str]:
    """{package: version} of a requirements file in which every version is exact."""
    found: dict[str, str] = {}
    for requirement in requirements(name):
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", f"{requirement} is not pinned"
        key = canonicalize_name(requirement.name)
        assert key not in found, f"{key} stands twice in {name}"
        found[str(key)] = specifier.version
    return found


def test_python_packages_are_pinned_once_and_agree_with_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    own, dev = pins("requirements.txt"), pins("requirements-dev.txt")
    constraints = pins("constraints.txt")
    assert not own.keys() & constraints.keys()
    assert not own.keys() & dev.keys()
    assert not dev.keys() & constraints.keys()
    for wanted, pinned in (
        (project["dependencies"], own),
        (project["optional-dependencies"]["dev"], dev),
        (project["optional-dependencies"]["publish"], pins("requirements-publish.txt")),
    ):
        ranges = {str(canonicalize_name(r.name)): r.specifier for r in map(Requirement, wanted)}
        assert ranges.keys() == pinned.keys()
        for name, version in pinned.items():
            assert ranges[name].contains(version), f"{name} {version} is outside pyproject's range"


def test_the_exporter_imports_nothing_that_it_does_not_name() -> None:
    import sys

    wanted = requirements("requirements.txt") + requirements("requirements-publish.txt")
    named_packages = {r.name.replace("-", "_").lower() for r in wanted}
    for file in EXPORTER.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            modules = (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else []
            )
            for module in (m.split(".")[0] for m in modules):
                known = module in sys.stdlib_module_names or module in {"oriel", *named_packages}
                assert known, f"{named(file)} imports {module}, which requirements lack"


def test_node_packages_are_pinned() -> None:
    package = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))
    for name, version in {**package["dependencies"], **package["devDependencies"]}.items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), f"{name} {version} is not exact"


def test_the_wheel_takes_the_contract_with_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    data = {f"contracts/{file.name}" for file in (ROOT / "contracts").glob("*.json")}
    assert included.keys() == data
    assert set(included.values()) == {f"oriel/contract/data/{Path(name).name}" for name in data}
