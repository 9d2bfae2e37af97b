"""The page of one analysis as an HTML file: the template, which is the page's own code built into
one file (`npm run standalone`), with the record inside."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

from oriel.bundle.atomic_folder import write_files_whole
from oriel.errors import BundleError, OptionError
from oriel.notebook.record import AnalysisRecord

DATA = Path(__file__).with_name("data")
"""What the page's build puts into the package."""
PLACE = '<script type="application/json" id="oriel-analysis"></script>'
_UNSAFE = re.compile("[<>&\u2028\u2029]")


@cache
def template(name: str = "standalone.html") -> str:
    """Return a file that the page's build makes. Raises BundleError where it isn't there."""
    path = DATA / name
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BundleError(
            "this copy of Oriel lacks the page that oriel.show draws",
            got=f"no {path.name} in the package",
            next_step="install Oriel from a wheel, or run `npm ci && npm run standalone` in its "
            "repository.",
        ) from error


def view_names() -> tuple[str, ...]:
    """Return the ids of the views that a page shows without a model."""
    found = re.search(r'<meta name="oriel-views" content="([a-z ]+)">', template())
    return tuple(found.group(1).split()) if found else ()


def record_text(record: AnalysisRecord) -> str:
    """Return the record as JSON in which nothing can end or begin an element of HTML."""
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return _UNSAFE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def filled_page(record: AnalysisRecord) -> str:
    """Return the page with the record inside."""
    before, place, after = template().partition(PLACE)
    if not place or PLACE in after:
        raise BundleError("the page's template has no one place for an analysis")
    opening = PLACE.removesuffix("</script>")
    return f"{before}{opening}{record_text(record)}</script>{after}"


def save_page(html: str, path: Path) -> Path:
    """Write the file, whole or not at all. Raises OptionError where there is no such folder,
    BundleError where it can't be written."""
    if not path.parent.is_dir():
        raise OptionError(
            "the page can't be saved",
            got=str(path),
            expected=f"a path in a folder that exists, and {path.parent} doesn't",
        )
    write_files_whole({path: html.encode()})
    return path
