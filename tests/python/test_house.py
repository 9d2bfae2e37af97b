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

# Each folder's parts, from the ground up, with those that each may import. The page's rows are
# checked by tests/web/import_directions.test.ts.
IMPORT_ORDER = json.loads((ROOT / "tests" / "import_order.json").read_text(encoding="utf-8"))


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


def part_in(folder: str, module: str) -> str | None:
    """The part of a folder that a module of ours is or lies in, None outside of the folder: for
    tools/model-export/oriel 'graph' of oriel.graph.taps, and 'oriel' of the package itself."""
    package = folder.removeprefix("tools/model-export/").replace("/", ".")
    if module != package and not module.startswith(f"{package}."):
        return None
    part = module.removeprefix(package).lstrip(".").split(".")[0]
    return part if part and is_part(folder, part) else package.split(".")[-1]


def is_part(folder: str, name: str) -> bool:
    return any((ROOT / folder / f"{name}{end}").exists() for end in ("", ".py"))


PYTHON_FOLDERS = [folder for folder in IMPORT_ORDER if folder.startswith("tools/")]


# The package's own file names, for type checkers alone, what it imports once somebody asks for it.
LAYERED = sorted({*ORIEL.rglob("*.py")} - {ORIEL / "__init__.py"})


@pytest.mark.parametrize("file", LAYERED, ids=lambda f: named(f)[24:])
def test_python_imports_point_one_way(file: Path) -> None:
    module = ".".join(file.relative_to(EXPORTER).with_suffix("").parts).removesuffix(".__init__")
    for folder in PYTHON_FOLDERS:
        part, order = part_in(folder, module), IMPORT_ORDER[folder]
        if part is None:
            continue
        assert part in order["parts"], f"{part} has no row in tests/import_order.json yet"
        may = order["parts"][part]
        if part not in order["everywhere"]:
            may = [*may, *order["everywhere"]]
        for imported in imported_modules(file):
            other = part_in(folder, imported)
            if other not in (None, part):
                assert other in may, f"{part} of {folder} may import {may}, not {imported}"


@pytest.mark.parametrize("folder", IMPORT_ORDER)
def test_the_order_of_imports_has_no_cycle(folder: str) -> None:
    parts = list(IMPORT_ORDER[folder]["parts"])
    for part, may in IMPORT_ORDER[folder]["parts"].items():
        assert set(may) <= set(parts[: parts.index(part)]), f"{part} may import {may}"
    gone = [part for part in parts if part != Path(folder).name and not is_part(folder, part)]
    assert gone == [], "rows of parts that are not there"


@pytest.mark.parametrize("side", [ORIEL, PAGE], ids=named)
def test_every_folder_of_code_stands_in_the_architectures_table(side: Path) -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    _, _, section = text.partition(f": `{named(side)}/`\n")
    section, _, _ = section.partition("\n## ")
    told = re.findall(r"^\| `([\w/]+)/` \|", section, re.MULTILINE)
    code = {".py", ".css", *SCRIPT_SUFFIXES}
    files = [file for file in TRACKED if side in file.parents and file.suffix in code]
    there = {file.relative_to(side).parent.as_posix() for file in files} - {"."}
    assert sorted(there - set(told)) == [], "folders that docs/architecture.md leaves out"
    assert sorted(set(told) - there) == [], "rows of folders that are not there"
    assert len(told) == len(set(told))


def test_no_file_is_a_drawer_for_odds_and_ends() -> None:
    drawers = {"utils", "util", "helpers", "helper", "misc", "common"}
    assert [named(f) for f in TRACKED if f.name.split(".")[0].lower() in drawers] == []


def test_no_document_is_a_dict_of_anything() -> None:
    """Records are typed: see contract/documents.py, and contract/json_value.py for unknown JSON."""
    untyped = []
    for file in PYTHON_FILES:
        if not {ORIEL, ROOT / "scripts", ROOT / "examples"} & set(file.parents):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Subscript) and ast.unparse(node.value) in ("dict", "Mapping"):
                inner = {name.id for name in ast.walk(node.slice) if isinstance(name, ast.Name)}
                untyped += [f"{named(file)}:{node.lineno}"] if "Any" in inner else []
    assert untyped == []


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
    lock = (ROOT / "package-lock.json").read_text(encoding="utf-8")
    # It installs through whichever registry a machine is set up for.
    assert not re.search(r'"resolved"|registry', lock)


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
        (project["optional-dependencies"]["plot"], pins("requirements-plot.txt")),
    ):
        ranges = {str(canonicalize_name(r.name)): r.specifier for r in map(Requirement, wanted)}
        assert ranges.keys() == pinned.keys()
        for name, version in pinned.items():
            assert ranges[name].contains(version), f"{name} {version} is outside pyproject's range"


@pytest.mark.parametrize("file", sorted(EXPORTER.glob("requirements-formats/*.txt")))
def test_the_packages_of_a_format_are_pinned_and_an_extra_names_them(file: Path) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = pins(f"requirements-formats/{file.name}")
    for wanted in map(Requirement, extras["optional-dependencies"][file.stem]):
        name = str(canonicalize_name(wanted.name))
        assert wanted.specifier.contains(pinned[name]), f"{name} is outside pyproject's range"
    # What .venv has is not installed again.
    assert not pinned.keys() & (pins("requirements.txt").keys() | pins("constraints.txt").keys())


def test_the_packages_of_dashboards_are_pinned_and_an_extra_names_those_that_are_used() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = pins("requirements-dashboards.txt")
    for wanted in map(Requirement, extras["optional-dependencies"]["dashboards"]):
        assert wanted.specifier.contains(pinned[wanted.name])
    assert not pinned.keys() & (pins("requirements.txt").keys() | pins("constraints.txt").keys())


def test_the_packages_of_notebooks_are_pinned_and_an_extra_names_the_one_that_is_used() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (wanted,) = map(Requirement, extras["optional-dependencies"]["notebook"])
    pinned = pins("requirements-notebook.txt")
    assert wanted.specifier.contains(pinned[wanted.name])
    # What .venv has is not installed again.
    assert not pinned.keys() & (pins("requirements.txt").keys() | pins("constraints.txt").keys())


def test_the_exporter_imports_nothing_that_it_does_not_name() -> None:
    import sys

    files = ["requirements.txt", "requirements-publish.txt", "requirements-plot.txt"]
    files += ["requirements-notebook.txt", "requirements-dashboards.txt"]
    files += [f"requirements-formats/{f.name}" for f in EXPORTER.glob("requirements-formats/*.txt")]
    wanted = [requirement for name in files for requirement in requirements(name)]
    # Both packages of IREE are imported as iree.
    named_packages = {r.name.replace("-", "_").lower().partition("_base_")[0] for r in wanted}
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


def test_the_wheel_takes_the_page_of_a_notebook_with_it() -> None:
    from oriel.notebook.page_file import DATA

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["hatch"]["build"]["artifacts"] == [f"/{named(DATA)}/*"]
