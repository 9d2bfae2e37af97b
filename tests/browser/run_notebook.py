"""Execute a notebook that shows the bundled model, for ui_notebook.spec.ts: keep it, and its export
to HTML. Needs Jupyter's packages on PYTHONPATH."""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter


def main(bundle: str, prompt: str, folder: Path) -> None:
    """bundle: its folder. folder: where to write notebook.ipynb and notebook.html."""
    notebook = nbformat.v4.new_notebook()
    code = (
        "import oriel\n"
        f"bundle = oriel.Bundle({bundle!r})\n"
        f"oriel.show(bundle, {prompt!r}, head=(5, 2), language='en')"
    )
    notebook.cells = [nbformat.v4.new_code_cell(code)]
    NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    nbformat.write(notebook, folder / "notebook.ipynb")
    body, _ = HTMLExporter().from_notebook_node(notebook)
    (folder / "notebook.html").write_text(body, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
