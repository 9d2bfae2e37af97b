"""A graph is traced once for a config, and a kept one gives the same bytes; whatever is wrong with
what is kept costs only the tracing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx_ir as ir
import pytest
from transformers import GPT2Config

from oriel.graph import trace_cache
from oriel.graph.export_onnx import TracedGraph, trace
from oriel.graph.trace_cache import cached_trace
from oriel.models.architectures import find_architecture
from oriel.models.model_spec import ModelSpec, make_spec
from oriel.stage_callback import StageCallback
from oriel.tracing import kept_graphs
from oriel.tracing.kept_graphs import FOLDER


def spec_of(**changes: object) -> ModelSpec:
    sizes = {"vocab_size": 31, "n_positions": 16, "n_embd": 12, "n_head": 2, "n_layer": 2}
    config = GPT2Config(**(sizes | changes))  # type: ignore[arg-type]
    architecture = find_architecture("gpt2")
    return make_spec(config, architecture, architecture.shape(config))


def bytes_of(traced: TracedGraph) -> bytes:
    models = (traced.decoder, traced.plain)
    return b"".join(ir.to_proto(model).SerializeToString(deterministic=True) for model in models)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER, str(tmp_path / "graphs"))
    return tmp_path / "graphs"


@pytest.fixture(scope="module")
def make_graph() -> Callable[[], TracedGraph]:
    """Give the graph of `spec_of()`, each time a new one, without tracing it each time."""
    spec = spec_of()
    packed = trace_cache._packed(trace(spec, 20))
    return lambda: trace_cache._unpacked(packed, spec)


@pytest.fixture
def traced(make_graph: Callable[[], TracedGraph], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The opset of each tracing since the test began."""
    opsets: list[int] = []

    def count(_spec: ModelSpec, opset: int, _on_stage: StageCallback) -> TracedGraph:
        opsets.append(opset)
        return make_graph()

    monkeypatch.setattr(trace_cache, "trace", count)
    return opsets


def test_a_kept_graph_is_the_traced_one(folder: Path, traced: list[int]) -> None:
    first, second = cached_trace(spec_of(), 20), cached_trace(spec_of(), 20)
    assert traced == [20]
    assert bytes_of(first) == bytes_of(second)
    assert first.parameters == second.parameters
    assert set(first.parameters) == set(spec_of().parameters)
    assert first.layers_traced == second.layers_traced
    # What the caller does to one is not in the next.
    first.decoder.graph.outputs.clear()
    assert bytes_of(cached_trace(spec_of(), 20)) == bytes_of(second)


def test_the_first_is_named_as_later_ones_are(folder: Path, traced: list[int]) -> None:
    """New values get names by a counter, which starts anew in a graph that was read."""

    def name_of_new_value(graph: TracedGraph) -> str | None:
        node = ir.node("Identity", [graph.decoder.graph.outputs[0]])
        graph.decoder.graph.append(node)
        return node.outputs[0].name

    names = {name_of_new_value(cached_trace(spec_of(), 20)) for _ in range(2)}
    assert len(names) == 1


@pytest.mark.parametrize("what", ["config", "opset", "sources", "package"])
def test_whatever_decides_the_graph_makes_another(
    what: str, folder: Path, traced: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, opset = spec_of(), 20
    cached_trace(spec, opset)
    if what == "config":
        # Neither a size nor a parameter: the activation function.
        spec = spec_of(activation_function="relu")
    elif what == "opset":
        opset = 21
    elif what == "sources":
        monkeypatch.setattr(trace_cache, "_SOURCES", ("graph",))
    else:
        monkeypatch.setattr("importlib.metadata.version", lambda _: "0.1")
    cached_trace(spec, opset)
    assert len(traced) == 2


def test_what_no_model_reads_makes_no_other(folder: Path, traced: list[int]) -> None:
    cached_trace(spec_of(_name_or_path="a"), 20)
    cached_trace(spec_of(_name_or_path="b", architectures=["GPT2LMHeadModel"]), 20)
    assert traced == [20]


def test_an_architecture_of_the_caller_s_own_is_traced_each_time(
    folder: Path, traced: list[int]
) -> None:
    own = replace(spec_of(), architecture=replace(find_architecture("gpt2"), mlp_norm="ln_1"))
    for _ in range(2):
        cached_trace(own, 20)
    assert len(traced) == 2
    assert not folder.exists()


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


def change(file: Path) -> None:
    held = bytearray(file.read_bytes())
    held[len(held) // 2] ^= 1
    file.write_bytes(held)


def empty(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut, change, empty])
def test_a_damaged_file_is_traced_anew(
    damage: Callable[[Path], None], folder: Path, traced: list[int]
) -> None:
    whole = bytes_of(cached_trace(spec_of(), 20))
    damage(next(folder.iterdir()))
    assert bytes_of(cached_trace(spec_of(), 20)) == whole
    assert bytes_of(cached_trace(spec_of(), 20)) == whole
    assert len(traced) == 2


def test_a_file_that_is_far_too_large_is_not_read(
    folder: Path, traced: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    cached_trace(spec_of(), 20)
    monkeypatch.setattr(kept_graphs, "_MOST_BYTES", 1000)
    cached_trace(spec_of(), 20)
    assert len(traced) == 2


def test_a_folder_that_cannot_be_written_costs_only_the_tracing(
    tmp_path: Path, traced: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(FOLDER, str(tmp_path / "file" / "graphs"))
    for _ in range(2):
        cached_trace(spec_of(), 20)
    assert len(traced) == 2


def test_an_empty_name_keeps_nothing(traced: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER, "")
    for _ in range(2):
        cached_trace(spec_of(), 20)
    assert len(traced) == 2


def test_the_oldest_unused_are_removed(
    folder: Path, traced: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_graphs, "_MOST_KEPT", 2)
    for opset in (20, 21, 20, 22, 20):
        cached_trace(spec_of(), opset)
    assert traced == [20, 21, 22]
    assert len(list(folder.iterdir())) == 2
