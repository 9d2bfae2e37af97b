"""Make what the browser tests open: bundles of tiny models, what PyTorch says of them, and both as
they are published; unless what they are made from is unchanged since. Standard library only until
there is something to make: importing torch to find nothing to do would take seconds."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import demo_bundle
from demo_bundle import EXPORTER, ROOT, digest_of

MADE = ROOT / "test-results" / "browser"
STAMP = MADE / "bundles.stamp"
FIXTURES = ROOT / "tests" / "fixtures"
DEMO_WEIGHTS = EXPORTER / "oriel" / "models" / "demo" / "weights"
EVERY_VARIANT = "fp32,f16,q8,q4,fp16,int8,int8_static,int4"

# Small enough for a GPU in software.
STATIC_CACHES = {"tiny-gpt2": 160, "tiny-llama": 64}
"""Cache lengths of their static graphs: part of the context, and all of it."""
TINY_MODELS = ("tiny-gpt2", "tiny-llama", "long-gpt2")
# Bundles of contract 1.0, kept as they were exported; no exporter writes them any more.
EARLIER = FIXTURES / "bundles_1"
EARLIER_MODELS = ("tiny-gpt2", "tiny-llama")
FOLDERS = (
    *(f"{kind}/{name}" for kind in ("fixtures", "bundles") for name in TINY_MODELS),
    *(f"{kind}/earlier-{name}" for kind in ("fixtures", "bundles") for name in EARLIER_MODELS),
    "fixtures/demo",
    "bundles/deep-gpt2",
    "bundles/demo-units",
    "bundles/demo-features",
    "bundles/tiny-bert",
    *(f"bundles/tiny-bert-{of}" for of in ("texts", "tokens")),
    "bundles/tiny-mixtral",
    "bundles/split-llama",
    *(
        f"bundles/bare-{kind}"
        for kind in ("plain", "decoder", "open", "interactive", "embedded", "stranger")
    ),
    *(f"published/{name}" for name in ("demo", "tiny-gpt2")),
)


class StepError(Exception):
    """A step ended with an exit code that isn't 0."""


def main() -> int:
    """Return 0, or the exit code of the first step that fails."""
    code = demo_bundle.main()
    if code != 0:
        return code
    inputs = digest_of(inputs_of_bundles())
    if up_to_date(inputs):
        return 0
    # Nothing in the tests may come from the network.
    os.environ["HF_HUB_OFFLINE"] = "1"
    STAMP.unlink(missing_ok=True)
    for folder in FOLDERS:
        shutil.rmtree(MADE / folder, ignore_errors=True)
    try:
        make_all()
    except StepError as error:
        print(f"the bundles of the browser tests were not made: {error}", file=sys.stderr)
        return 1
    STAMP.write_text(f"{inputs}\n", encoding="utf-8")
    return 0


def inputs_of_bundles() -> list[Path]:
    """List what decides about the bundles: the exporter, all of it, and the scripts that call it.

    A list of the folders that matter would soon miss one, and tests would open old bundles.
    """
    scripts = [*FIXTURES.glob("*.py"), Path(__file__), demo_bundle.MANIFEST]
    scripts += [file for file in EARLIER.rglob("*") if file.is_file()]
    return [*demo_bundle.inputs_of_bundle(), *sorted(scripts)]


def up_to_date(inputs: str) -> bool:
    """Return whether everything is there, made from these inputs."""
    if not STAMP.is_file() or STAMP.read_text(encoding="utf-8").strip() != inputs:
        return False
    return all(any((MADE / folder).glob("*")) for folder in FOLDERS)


def make_all() -> None:
    """Make every folder of FOLDERS, and the checkpoints that they come from.

    In one process: torch and transformers take as long to import as a tiny model takes to export.
    """
    sys.path[:0] = [str(EXPORTER), str(FIXTURES)]
    from oriel.cli import main as oriel

    write_fixtures = import_module("make_browser_fixtures").main
    write_bare_models = import_module("make_bare_fixtures").main
    demo = demo_bundle.MANIFEST.parent
    fixtures = ("--output", MADE / "fixtures" / "demo")
    call(write_fixtures, "--checkpoint", DEMO_WEIGHTS, *fixtures, "--page-edits")
    publish = ("--version", "1.0.0", "--to")
    call(oriel, "publish", demo, *publish, MADE / "published" / "demo")
    make_units(oriel, demo)
    features = MADE / "bundles" / "demo-features"
    shutil.copytree(demo, features)
    import_module("page_dictionaries").add_page_dictionaries(features)
    for name in TINY_MODELS:
        call(
            write_fixtures,
            *("--make", name, "--tokenizer-from", DEMO_WEIGHTS),
            *("--checkpoint", MADE / "checkpoints" / name),
            *("--output", MADE / "fixtures" / name),
        )
        # Random weights take rounding badly.
        variants = ("--precision", EVERY_VARIANT, "--allow-lossy")
        static = ("--static-cache", STATIC_CACHES[name]) if name in STATIC_CACHES else ()
        export(oriel, name, "0,1", *static, *(variants if name == "tiny-gpt2" else ()))
        if name != "long-gpt2":
            add_lenses(oriel, name)
    for name in EARLIER_MODELS:
        checkpoint, output = EARLIER / "checkpoints" / name, MADE / "fixtures" / f"earlier-{name}"
        call(write_fixtures, "--checkpoint", checkpoint, "--output", output)
        shutil.copytree(EARLIER / name, MADE / "bundles" / f"earlier-{name}")
    # Its attention maps are more than a page can hold; nothing else has to be right of it.
    deep = "deep-gpt2"
    call(write_fixtures, "--make", deep, "--checkpoint", MADE / "checkpoints" / deep)
    export(oriel, deep, "0,47")
    routed = "tiny-mixtral"
    call(import_module("make_tiny_mixtral").main, MADE / "checkpoints" / routed)
    export(oriel, routed, "0,1")
    encoder = "tiny-bert"
    call(import_module("make_tiny_bert").main, MADE / "checkpoints" / encoder)
    export(oriel, encoder, "0,1", "--precision", "fp32,q8,q4,int8_static", "--allow-lossy")
    for of in ("texts", "tokens"):
        name = f"tiny-bert-{of}"
        call(import_module("make_tiny_classifier").main, MADE / "checkpoints" / name, of)
        export(oriel, name, "0,1")
    split = MADE / "bundles" / "split-llama" / "model.onnx"
    call(import_module("make_split_bundle").main, MADE / "checkpoints" / "tiny-llama", split)
    tiny = MADE / "bundles" / "tiny-gpt2"
    # The same graphs without their manifest, in folders of their own.
    earlier = EARLIER / "tiny-gpt2"
    bare = ("--bundle", tiny, "--earlier", earlier, "--output", MADE / "bundles")
    call(write_bare_models, *bare)
    # In chunks so small that a test can lose some on the way.
    published = MADE / "published" / "tiny-gpt2"
    call(oriel, "publish", tiny, *publish, published, "--chunk-bytes", 2**17)


def make_units(oriel: Callable[[Sequence[str]], int], demo: Path) -> None:
    """Copy the bundled model's bundle, with dashboards over a small corpus of its generator."""
    bundle, made = MADE / "bundles" / "demo-units", MADE / "checkpoints" / "demo-units"
    shutil.copytree(demo, bundle)
    shutil.rmtree(made, ignore_errors=True)
    kinds = "mlp_act,attn_z,resid_post,features"
    call(oriel, "dashboards", bundle, "--out", made, "--tokens", 20000, "--kinds", kinds)
    call(oriel, "add-dashboards", bundle, made)


def export(oriel: Callable[[Sequence[str]], int], name: str, layers: str, *more: object) -> None:
    """Export a checkpoint with the activations of some layers."""
    output = MADE / "bundles" / name / "model.onnx"
    checkpoint = MADE / "checkpoints" / name
    call(oriel, "export", "--model", checkpoint, "--layers", layers, "--output", output, *more)


def add_lenses(oriel: Callable[[Sequence[str]], int], name: str) -> None:
    """Add lens packs of seeded random numbers to a bundle."""
    bundle = MADE / "bundles" / name
    write_packs = import_module("lens_maps").write_packs_for
    for pack in write_packs(bundle, MADE / "checkpoints" / name / "lenses"):
        call(oriel, "add-lens", bundle, pack)


def call(program: Callable[[Sequence[str]], int | None], *words: object) -> None:
    """Call a program with its arguments, and raise StepError where it fails."""
    arguments = [str(word) for word in words]
    code = program(arguments)
    if code:
        raise StepError(f"{' '.join(arguments)} ended with {code}")


if __name__ == "__main__":
    sys.exit(main())
