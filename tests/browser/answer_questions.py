"""Show the bundled model as a notebook would, and answer what its page asks: prints the display's
token, its HTML and the widget's script, then an answer for each question, a line of JSON each."""

from __future__ import annotations

import json
import sys

import oriel
from oriel.notebook.page_file import template


def main(bundle: str, prompt: str) -> None:
    shown = oriel.show(bundle, prompt, head=(5, 2), language="en")
    kernel = shown.record["kernel"]
    assert kernel is not None
    first = {
        "token": kernel["token"],
        "html": shown._repr_mimebundle_()["text/html"],
        "script": template("notebook_link.js"),
    }
    print(json.dumps(first), flush=True)
    for line in sys.stdin:
        print(json.dumps(shown.answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
