"""Measures whether the page's memory stays flat in Chromium: while tokens are generated, beside a
page that was opened with the same text, and while the reader changes between two models.

The bytes are the resident memory of the page's process, with its workers and WebAssembly, after a
collection of garbage. Needs Chromium, Linux's /proc, and the bundles of the browser tests (`make
bundle`).

python benchmarks/page_memory.py [--tokens 200] [--switches 50]
"""

from __future__ import annotations

import argparse

from page_benchmark import run_on_page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--switches", type=int, default=50)
    chosen = parser.parse_args()
    found = run_on_page("page_memory.spec.ts", vars(chosen))
    print("| after | memory, MB | page opened with that text, MB |")
    print("| --- | --: | --: |")
    for tokens, stepped, opened in found["generated"]:
        print(f"| {tokens} generated tokens | {stepped / 1e6:.1f} | {opened / 1e6:.1f} |")
    for switches, held in found["switched"]:
        print(f"| {switches} changes of the model | {held / 1e6:.1f} | |")


if __name__ == "__main__":
    main()
