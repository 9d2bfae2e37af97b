"""Every architecture and every variant of its config, exported and compared with the stock model of
transformers. What the bundle's own checker does is tested in test_verification.py."""

from __future__ import annotations

import copy
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from architecture_variants import VARIANTS
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument
from transformers import PreTrainedModel

from oriel.contract.activation_names import all_activations, kinds
from oriel.contract.manifest import read_manifest
from oriel.export_bundle import export
from oriel.graph.taps import Tap, open_taps
from oriel.models.architectures import describe
from oriel.options import ExportOptions
from oriel.progress import Silent

LEARNED_POSITIONS = ("bert", "distilbert", "electra", "gpt2", "gpt_neo", "opt", "roberta")


class Exported:
    """A tiny random model, beside the closed graphs of its bundle in ONNX Runtime."""

    def __init__(self, make: Callable[[], PreTrainedModel], folder: Path) -> None:
        torch.manual_seed(5)
        model = make().eval()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            # Weights far from their tiny initial spread, so that a wrong sign or scale shows.
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.25)
        model.save_pretrained(folder / "checkpoint")
        stock = type(model).from_pretrained(
            folder / "checkpoint", attn_implementation="eager", experts_implementation="eager"
        )
        self.stock = mended(stock)
        layers = model.config.num_hidden_layers
        options = ExportOptions(
            model=str(folder / "checkpoint"), output=folder / "bundle", all_layers=True
        )
        with Silent() as display:
            result = export(options, display)
        manifest = read_manifest(result.folder)
        self.shape = manifest.shape
        self.layers = layers
        self.architecture = describe(model.config)
        variant = manifest.variant("fp32")
        self.plain = onnxruntime.InferenceSession(result.folder / variant["plain"]["path"])
        given = {output["name"] for output in variant["decoder"]["activations"]["outputs"]}
        taps = [Tap.from_json(tap) for tap in variant["taps"]]
        closed = [tap for tap in taps if not given & {spec.name for spec in tap.outputs}]
        tapped = result.folder / "tapped.onnx"
        tapped.write_bytes(open_taps(result.graph.read_bytes(), closed))
        self.decoder = onnxruntime.InferenceSession(tapped)

    def run(self, ids: NDArray[Any], **feeds: NDArray[Any]) -> dict[str, NDArray[Any]]:
        shape, batch = self.shape, ids.shape[0]
        given: dict[str, NDArray[Any]] = {"input_ids": ids}
        names = [output.name for output in self.decoder.get_outputs()]
        if shape.bidirectional:
            given |= {"attention_mask": np.ones_like(ids), **feeds}
            if shape.token_types:
                given.setdefault("token_type_ids", np.zeros_like(ids))
            return dict(zip(names, self.decoder.run(names, given), strict=True))
        empty = np.zeros((batch, shape.kv_heads, 0, shape.head_dim), np.float32)
        for layer in range(shape.layers):
            given[f"past_key_values.{layer}.key"] = empty
            given[f"past_key_values.{layer}.value"] = empty
        given |= feeds
        past = given["past_key_values.0.key"].shape[2]
        total = past + ids.shape[1]
        given.setdefault("attention_mask", np.ones((batch, total), np.int64))
        positions = np.arange(past, total)[None].repeat(batch, axis=0)
        given.setdefault("position_ids", positions)
        return dict(zip(names, self.decoder.run(names, given), strict=True))


@pytest.fixture(scope="module", params=list(VARIANTS))
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return Exported(VARIANTS[request.param], tmp_path_factory.mktemp("model"))


def mended(stock: PreTrainedModel) -> PreTrainedModel:
    mend = describe(stock.config).mend_eager
    if mend is not None:
        mend(stock)
    stock.eval()  # type: ignore[no-untyped-call]
    return stock


def random_ids(shape: tuple[int, int], vocab: int, seed: int = 0) -> NDArray[Any]:
    # RoBERTa of transformers counts no position for a token of id 1, its padding.
    return np.random.default_rng(seed).integers(2, vocab, shape)


def sees(exported: Exported, layer: int, seq: int) -> NDArray[Any]:
    """Return (seq, seq), True where a query may see a key."""
    window = exported.shape.at(layer).window or seq
    last = window if exported.shape.bidirectional else 1
    return np.array([[-last < q - k < window for k in range(seq)] for q in range(seq)])


def close(a: NDArray[Any], b: NDArray[Any]) -> None:
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5)


def test_plain_graph_agrees_with_the_stock_model(exported: Exported) -> None:
    for size in ((1, 1), (3, 7), (1, exported.shape.context_length)):
        ids = random_ids(size, exported.shape.vocab)
        with torch.no_grad():
            truth = exported.stock(
                torch.from_numpy(ids), output_attentions=True, output_hidden_states=True
            )
        names = [output.name for output in exported.plain.get_outputs()]
        got = dict(zip(names, exported.plain.run(names, {"input_ids": ids}), strict=True))
        close(got["logits"], truth.logits.numpy())
        close(got["embedding_sum"], truth.hidden_states[0].numpy())
        for layer in range(exported.layers):
            close(got[f"layer_{layer}_attn_probs"], truth.attentions[layer].numpy())
            if layer < exported.layers - 1:
                # The last of hidden_states is after the final norm: no resid_post.
                close(got[f"layer_{layer}_resid_post"], truth.hidden_states[layer + 1].numpy())


def test_beyond_the_context_learned_positions_end_and_rotary_ones_go_on(
    exported: Exported,
) -> None:
    ids = random_ids((1, exported.shape.context_length + 3), exported.shape.vocab)
    if exported.stock.config.model_type in LEARNED_POSITIONS:
        with pytest.raises(InvalidArgument, match="out of data bounds"):
            exported.plain.run(["logits"], {"input_ids": ids})
    else:
        (got,) = exported.plain.run(["logits"], {"input_ids": ids})
        # Some models keep their angles in a table as long as the context.
        config = copy.deepcopy(exported.stock.config)
        config.max_position_embeddings = 2 * exported.shape.context_length
        longer = mended(type(exported.stock)(config))
        longer.load_state_dict(exported.stock.state_dict())
        with torch.no_grad():
            close(got, longer(torch.from_numpy(ids)).logits.numpy())


def test_taps_give_what_stock_modules_compute(exported: Exported) -> None:
    ids = random_ids((2, 6), exported.shape.vocab, seed=1)
    seen: dict[str, NDArray[Any]] = {}

    def keep(name: str, part: int = 0) -> Callable[..., None]:
        def hook(_module: Any, inputs: Any, output: Any = None) -> None:
            value = inputs[0] if output is None else output
            found = (value[part] if isinstance(value, tuple) else value).detach()
            # A block may add to it in place.
            seen[name] = found.clone().numpy()

        return hook

    a, model = exported.architecture, exported.stock
    blocks = model.get_submodule(a.blocks)
    for layer, block in enumerate(blocks.children()):
        routed = exported.shape.at(layer).experts > 0
        for path, kind in (
            (a.attention_end, "attn_output"),
            (a.mlp_end, "mlp_output"),
            (a.attention, "attn_output_raw"),
            (a.mlp, "mlp_output_raw"),
            (a.attention_output_matrix, "attn_output_again"),
            ((a.experts if routed else None) or a.mlp_output_matrix, "mlp_output_again"),
        ):
            block.get_submodule(path).register_forward_hook(keep(f"layer_{layer}_{kind}"))
        if routed:
            router = block.get_submodule(a.router or "")
            for part, kind in enumerate(("router_logits", "expert_weights", "expert_ids")):
                router.register_forward_hook(keep(f"layer_{layer}_{kind}", part))
        for path, kind in ((a.mlp_nonlinearity, "mlp_pre"), (a.mlp_output_matrix, "mlp_act")):
            if not routed:
                block.get_submodule(path).register_forward_pre_hook(keep(f"layer_{layer}_{kind}"))
        if a.mlp_linear is not None and not routed:
            for path, kind in ((a.mlp_nonlinearity, "mlp_gate"), (a.mlp_linear, "mlp_linear")):
                block.get_submodule(path).register_forward_hook(keep(f"layer_{layer}_{kind}"))
        if exported.shape.post_norm:
            norm = block.get_submodule(a.mlp_norm)
            norm.register_forward_hook(keep(f"layer_{layer}_resid_mid"))
        elif kinds()["resid_mid"].present_in(exported.shape):
            norm = block.get_submodule(a.mlp_norm)
            norm.register_forward_pre_hook(keep(f"layer_{layer}_resid_mid"))
        block.register_forward_hook(keep(f"layer_{layer}_resid_post"))
    a.norm_module(model).register_forward_hook(keep("final_norm"))
    model.get_submodule(a.unembedding).register_forward_hook(keep("logits"))
    paths = ([] if a.final_norm is None else [a.final_norm]) + list(a.logits_modules)
    head = torch.nn.Sequential(*map(model.get_submodule, paths))
    with torch.no_grad():
        own = model(torch.from_numpy(ids))
    for name, value in seen.items():
        # Some models lay texts end to end.
        seen[name] = value.reshape(*ids.shape, -1) if value.ndim == 2 else value
    got = exported.run(ids)
    multiplier = getattr(model.config, a.residual_multiplier) if a.residual_multiplier else 1
    for layer in range(exported.layers):
        for kind in ("attn_output", "mlp_output"):
            # Both paths of a part are in the architecture's file: they must lead to the same part.
            raw = seen.pop(f"layer_{layer}_{kind}_raw")
            again = seen.pop(f"layer_{layer}_{kind}_again")
            # Experts have the tokens of all texts in one row.
            assert np.array_equal(again.reshape(raw.shape), raw), kind
            if exported.shape.raw_outputs:
                seen[f"layer_{layer}_{kind}_raw"] = raw
            seen[f"layer_{layer}_{kind}"] = seen[f"layer_{layer}_{kind}"] * multiplier
        for kind in ("router_logits", "expert_weights", "expert_ids"):
            if exported.shape.at(layer).experts:
                rows = seen[f"layer_{layer}_{kind}"]
                seen[f"layer_{layer}_{kind}"] = rows.reshape(*ids.shape, -1)
        if exported.shape.at(layer).experts:
            scores = torch.from_numpy(seen[f"layer_{layer}_router_logits"])
            seen[f"layer_{layer}_router_probs"] = scores.softmax(-1).numpy()
        if a.fused_mlp:
            both = seen[f"layer_{layer}_mlp_linear"]
            seen[f"layer_{layer}_mlp_linear"] = both[..., both.shape[-1] // 2 :]
    if a.finish_logits is None:
        assert np.array_equal(seen["logits"], own.logits.numpy())
    seen["logits"] = own.logits.numpy()
    unseen = ("q", "k", "v", "attn_scores", "attn_probs", "attn_z", "resid_pre", "lens_ids")
    wanted = {spec.name for spec in all_activations(exported.shape)} - {"embedding_sum"}
    assert set(seen) == {name for name in wanted if not name.endswith((*unseen, "lens_probs"))}
    for name, value in list(seen.items()):
        close(got[name], value)
    for name in [name for name in seen if name.endswith("mlp_gate")]:
        product = got[name] * got[name.replace("gate", "linear")]
        close(got[name.replace("gate", "act")], product)
    for layer in range(exported.layers):
        with torch.no_grad():
            scores = head(torch.from_numpy(got[f"layer_{layer}_resid_post"]))
            if a.finish_logits is not None:
                scores = a.finish_logits(model.config, scores)
            probs = scores.softmax(-1)
        best = probs.sort(descending=True).values[..., : exported.shape.lens_k]
        close(got[f"layer_{layer}_lens_probs"], best.numpy())
        chosen = np.take_along_axis(probs.numpy(), got[f"layer_{layer}_lens_ids"], axis=-1)
        close(chosen, best.numpy())


def stock_alibi(stock: PreTrainedModel, total: int) -> Any:
    """What the model adds to scores by ALiBi, (heads, 1, total); 0 of other models."""
    config = stock.config
    if not (config.model_type == "bloom" or getattr(config, "alibi", False)):
        return 0.0
    heads = config.num_attention_heads
    build = import_module(type(stock).__module__).build_alibi_tensor
    added = build(torch.ones(1, total, dtype=torch.int64), heads, torch.float32).numpy()
    # Falcon scales what it adds as it scales the products.
    return added if config.model_type == "bloom" else added / np.sqrt(config.head_dim)


def test_scores_softmax_to_probs_and_mix_values(exported: Exported) -> None:
    got = exported.run(random_ids((2, 6), exported.shape.vocab, seed=2))
    lowest = np.finfo(np.float32).min
    cap = getattr(exported.stock.config, "attn_logit_softcapping", None)
    groups = exported.shape.heads // exported.shape.kv_heads
    for layer in range(exported.layers):
        scores, probs = got[f"layer_{layer}_attn_scores"], got[f"layer_{layer}_attn_probs"]
        below = sees(exported, layer, 6)
        above = ~below
        assert (scores[..., above] == lowest).all()
        assert (probs[..., above] == 0).all()
        close(torch.from_numpy(scores).softmax(-1).numpy(), probs)
        values = np.repeat(got[f"layer_{layer}_v"], groups, axis=1)
        close(probs @ values, got[f"layer_{layer}_attn_z"])
        keys = np.repeat(got[f"layer_{layer}_k"], groups, axis=1)
        products = got[f"layer_{layer}_q"] @ keys.swapaxes(-1, -2)
        scores = scores - stock_alibi(exported.stock, 6)
        # One scale for a layer: the quotient is the same wherever attention is allowed.
        seen = scores[..., below]
        seen = seen if cap is None else np.arctanh(seen.astype(np.float64) / cap) * cap
        quotient = seen / products[..., below]
        assert np.abs(quotient / np.median(quotient) - 1).max() < 0.05


def test_cache_agrees_with_the_whole_sequence(exported: Exported) -> None:
    if exported.shape.bidirectional:
        names = {
            port.name for port in (*exported.decoder.get_inputs(), *exported.decoder.get_outputs())
        }
        assert not [name for name in names if name.startswith(("past", "present", "position"))]
        return
    ids = random_ids((2, 9), exported.shape.vocab, seed=3)
    whole = exported.run(ids)
    past: dict[str, NDArray[Any]] = {}
    for start, end in ((0, 4), (4, 5), (5, 9)):
        part = exported.run(ids[:, start:end], **past)
        close(part["logits"], whole["logits"][:, start:end])
        for layer in range(exported.layers):
            rows = whole[f"layer_{layer}_attn_probs"][:, :, start:end, :end]
            close(part[f"layer_{layer}_attn_probs"], rows)
            close(part[f"layer_{layer}_k"], whole[f"layer_{layer}_k"][:, :, start:end])
        past = {
            f"past_key_values.{layer}.{p}": part[f"present.{layer}.{p}"]
            for layer in range(exported.layers)
            for p in ("key", "value")
        }


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_no_number_of_a_text(exported: Exported, side: str) -> None:
    """Held to the stock model reading the text alone, and then one token more with the cache, where
    there is one."""
    long, short = (random_ids((1, n), exported.shape.vocab, seed=n) for n in (7, 4))
    place = slice(3, 7) if side == "left" else slice(0, 4)
    ids = np.concatenate([long, random_ids((1, 7), exported.shape.vocab, seed=5)])
    mask = np.ones_like(ids)
    mask[1] = 0
    ids[1, place], mask[1, place] = short[0], 1
    if exported.shape.bidirectional:
        got = exported.run(ids, attention_mask=mask)
        for row, text, seen in ((0, long, slice(None)), (1, short, place)):
            with torch.no_grad():
                truth = exported.stock(torch.from_numpy(text), output_attentions=True)
            close(got["logits"][row, seen], truth.logits.numpy()[0])
            close(got["layer_0_attn_probs"][row][:, seen, seen], truth.attentions[0].numpy()[0])
            assert (got["layer_0_attn_probs"][row][..., mask[row] == 0] == 0).all()
        return
    positions = np.maximum(mask.cumsum(axis=1) - 1, 0)
    got = exported.run(ids, attention_mask=mask, position_ids=positions)
    more = random_ids((2, 1), exported.shape.vocab, seed=6)
    past = {name.replace("present", "past_key_values"): v for name, v in got.items()}
    after = exported.run(
        more,
        attention_mask=np.concatenate([mask, np.ones((2, 1), np.int64)], axis=1),
        position_ids=np.array([[7], [4]]),
        **{name: value for name, value in past.items() if name.startswith("past")},
    )
    windows = [exported.shape.at(layer).window for layer in range(exported.layers)]
    # A window counts the padding that lies between a text and what follows it.
    texts = (long,) if side == "right" and any(windows) else (long, short)
    for row, text in enumerate(texts):
        with torch.no_grad():
            whole = np.concatenate([text, more[row : row + 1]], axis=1)
            truth = exported.stock(torch.from_numpy(whole), output_attentions=True)
        seen = slice(None) if row == 0 else place
        close(got["logits"][row, seen], truth.logits.numpy()[0, :-1])
        close(after["logits"][row], truth.logits.numpy()[0, -1:])
        probs = truth.attentions[0].numpy()[0]
        close(got["layer_0_attn_probs"][row][:, seen, seen], probs[:, :-1, :-1])
        columns = np.flatnonzero(np.append(mask[row], 1))
        close(after["layer_0_attn_probs"][row][:, 0, columns], probs[:, -1])
        assert after["layer_0_attn_probs"][row][:, 0].sum() == pytest.approx(exported.shape.heads)


def test_segments_are_those_of_the_stock_model(exported: Exported) -> None:
    count = exported.shape.token_types
    fed = {port.name for port in exported.decoder.get_inputs()}
    assert ("token_type_ids" in fed) == bool(count)
    if count:
        ids = random_ids((3, 6), exported.shape.vocab, seed=7)
        kinds_of = np.random.default_rng(8).integers(0, count, ids.shape)
        with torch.no_grad():
            truth = exported.stock(torch.from_numpy(ids), token_type_ids=torch.from_numpy(kinds_of))
        close(exported.run(ids, token_type_ids=kinds_of)["logits"], truth.logits.numpy())


@pytest.mark.parametrize("kept", [0, 1, 3, 7, 100])
def test_num_logits_to_keep_shortens_logits_and_nothing_else(exported: Exported, kept: int) -> None:
    ids = random_ids((2, 7), exported.shape.vocab, seed=4)
    whole = exported.run(ids)
    part = exported.run(ids, num_logits_to_keep=np.array(kept, np.int64))
    assert part["logits"].shape == whole["logits"][:, -kept:].shape
    close(part.pop("logits"), whole.pop("logits")[:, -kept:])
    for name, values in whole.items():
        assert np.array_equal(part[name], values), name


def test_inner_dimensions_are_dynamic(exported: Exported) -> None:
    for batch, seq in ((1, 1), (4, 2), (2, 11)):
        got = exported.run(random_ids((batch, seq), exported.shape.vocab))
        assert got["logits"].shape == (batch, seq, exported.shape.vocab)
        assert got["layer_0_attn_probs"].shape == (batch, exported.shape.heads, seq, seq)
