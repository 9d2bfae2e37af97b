"""Prints what a picture holds, read by Python's XML parser: the names of its elements, and texts.

Reads the picture from standard input. A picture that is no valid XML is an error.
"""

import json
import sys
from xml.etree import ElementTree

NAMESPACE = "{http://www.w3.org/2000/svg}"


def main() -> None:
    """Print the root's name, all names of elements below it, and the texts in their order."""
    # Our own page's file, of a few kilobytes.
    root = ElementTree.fromstring(sys.stdin.buffer.read())
    below = [one for one in root.iter() if one is not root]
    texts = ["".join(one.itertext()) for one in below if one.tag == f"{NAMESPACE}text"]
    elements = sorted({one.tag.removeprefix(NAMESPACE) for one in below})
    print(json.dumps({"root": root.tag, "texts": texts, "elements": elements}))


if __name__ == "__main__":
    main()
