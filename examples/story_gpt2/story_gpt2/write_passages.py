"""The passages that come with the exporter: ``python -m story_gpt2.write_passages`` writes them."""

from __future__ import annotations

from pathlib import Path

from oriel.models import demo
from story_gpt2.corpus import held_out_passages, training_passages

PASSAGES_FOLDER = Path(demo.__file__).parent / "passages"
PASSAGES = 400


def passage_files() -> dict[str, str]:
    """Return each file's name and text: passages between blank lines."""
    texts = {"training": training_passages(PASSAGES), "held_out": held_out_passages(PASSAGES)}
    return {f"{name}.txt": "\n\n".join(passages) + "\n" for name, passages in texts.items()}


def main() -> None:
    """Write the files, each whole."""
    for name, text in passage_files().items():
        (PASSAGES_FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
