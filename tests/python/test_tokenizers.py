"""The tokenizer of a bundle is the checkpoint's own as transformers opens it: of each kind of
folder that checkpoints come in. Truth is transformers' AutoTokenizer, opened here anew."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from contract_examples import CONTRACTS
from tokenizer_folders import (
    KINDS,
    TEXT,
    VOCAB,
    Build,
    byte_level,
    folder_of,
    padded_and_cut,
    padded_to_a_multiple,
    plain,
    save,
    suffixed,
    template_first,
    vocab_and_merges,
    whole_words,
    with_marks,
    wordpiece,
)
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer

from oriel.bundle.token_bytes import TokenBytes
from oriel.contract.activation_names import ModelShape
from oriel.errors import BundleError, CheckpointError
from oriel.models.end_tokens import read_end_tokens
from oriel.precision.calibration.calibration_text import calibration_passages
from oriel.tokenizers.checkpoint_files import wanted_files
from oriel.tokenizers.checkpoint_tokenizer import (
    MAX_CASES,
    CheckpointTokenizer,
    NoTokenizer,
    read_checkpoint_tokenizer,
)
from oriel.tokenizers.first_tokens import find_first_tokens
from oriel.tokenizers.known_text import UnknownShare
from oriel.tokenizers.open_tokenizer import open_tokenizer
from oriel.tokenizers.passage_start import passage_start
from oriel.tokenizers.write_tokenizer import bundle_files, write_tokenizer

# Written by hand: none of them is taken from the exporter's own.
TEXTS = [
    "The ferry left.",
    "  two  spaces\tand\na tab\u00a0x ",
    "é e\u0301 ß 中文 العربية हिन्दी 👩‍👩‍👧 ﬁ \x00",
    "<new> a<new>b  <new>  word sword word. </s><s> [UNK] <|endoftext|>x",
]


def opened(folder: Path, vocab: int = VOCAB) -> CheckpointTokenizer:
    found = read_checkpoint_tokenizer(folder, vocab)
    assert isinstance(found, CheckpointTokenizer), found
    return found


def refused(folder: Path, vocab: int = VOCAB) -> str:
    found = read_checkpoint_tokenizer(folder, vocab)
    assert isinstance(found, NoTokenizer)
    (notice,) = found.notices
    assert notice.startswith("The bundle has no tokenizer, though the checkpoint has ")
    assert "\n" not in notice and notice.endswith("export again.")
    return notice


@pytest.mark.parametrize("build", KINDS, ids=lambda build: build.__name__)
def test_the_bundle_gives_transformers_ids(build: Build, tmp_path: Path) -> None:
    folder = folder_of(build, tmp_path)
    found = opened(folder)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    record = write_tokenizer(found, bundle)
    assert record["agreement"]["differing"] == 0
    assert record["first_tokens"] == KINDS[build]
    if build is with_marks:
        # transformers itself refuses the marks.
        for file in folder.iterdir():
            file.write_bytes(file.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    theirs = AutoTokenizer.from_pretrained(folder)
    # As any reader of the bundle opens it, and as we do.
    for ours in (
        Tokenizer.from_file(str(bundle / "tokenizer.json")),
        open_tokenizer(bundle / "tokenizer.json"),
    ):
        assert ours.padding is None and ours.truncation is None
        for text in (*TEXTS, *TEXT):
            want = theirs(text, add_special_tokens=False)["input_ids"]
            assert ours.encode(text, add_special_tokens=False).ids == want, text
    cases = json.loads((bundle / "tokenizer_cases.json").read_text())["cases"]
    assert 40 < len(cases) <= MAX_CASES
    for case in cases:
        assert case["ids"] == theirs(case["text"], add_special_tokens=False)["input_ids"]
    every = " ".join(case["text"] for case in cases)
    assert all(token in every for token in theirs.get_added_vocab())
    # With what goes first, it is what transformers gives by default, but for an end.
    ids = theirs(TEXT[0])["input_ids"]
    whole = [*record["first_tokens"], *found.encode(TEXT[0])]
    assert ids[: len(whole)] == whole


@pytest.mark.parametrize("build", [padded_and_cut, padded_to_a_multiple])
def test_padding_and_cutting_in_an_older_bundle_are_not_obeyed(
    build: Build, tmp_path: Path
) -> None:
    folder = folder_of(build, tmp_path)
    want = byte_level().encode(TEXT[0]).ids
    raw = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(TEXT[0]).ids
    assert raw != want, "the file asks for it"
    ours = open_tokenizer(folder / "tokenizer.json")
    assert ours.encode_batch([TEXT[0], "a"])[0].ids == want


def test_no_code_of_the_checkpoint_is_run_and_nothing_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def own_code(folder: Path) -> None:
        save(folder, byte_level(), "Mine", auto_map={"AutoTokenizer": ["mine.Mine", None]})
        (folder / "mine.py").write_text("print('ran'); raise SystemExit(3)")

    found = opened(folder_of(own_code, tmp_path))
    assert "code of its own for its tokenizer, which is never run" in found.notices[0]
    assert "auto_map" not in found.config
    assert capfd.readouterr() == ("", "")


def garbled_sentencepiece(folder: Path) -> None:
    (folder / "tokenizer.model").write_bytes(b"\n\x0e\n\x05<unk>\x15\x00\x00\x00\x00\x18\x02" * 3)
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "LlamaTokenizer"}')


def text_as_sentencepiece(folder: Path) -> None:
    (folder / "tokenizer.model").write_text("version https://git-lfs.github.com/spec/v1\n")


def unknown_model(folder: Path) -> None:
    plain(folder)
    data = json.loads((folder / "tokenizer.json").read_text())
    data["model"]["type"] = "SuperBPE"
    (folder / "tokenizer.json").write_text(json.dumps(data))


def nameless_wordpiece(folder: Path) -> None:
    wordpiece(folder)
    (folder / "tokenizer_config.json").unlink()


def in_python_alone(folder: Path) -> None:
    vocab_and_merges(folder)
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "CTRLTokenizer"}')


def of_another_program(folder: Path) -> None:
    (folder / "tekken.json").write_text("{}")


def config_alone(folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "LlamaTokenizer"}')


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (in_python_alone, "CTRLTokenizer, which has no tokenizer.json"),
        (of_another_program, "has tekken.json: none of these is a vocabulary"),
        (config_alone, "has tokenizer_config.json: none of these is a vocabulary"),
        (garbled_sentencepiece, "tokenizer.model"),
        (text_as_sentencepiece, "tokenizer.model"),
        (unknown_model, "transformers can't open it (data did not match"),
        (nameless_wordpiece, "for most vocab.txt BertTokenizer"),
    ],
)
def test_a_tokenizer_that_can_not_be_opened_is_told(
    build: Build, said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert said in refused(folder_of(build, tmp_path))
    assert capfd.readouterr() == ("", "")


def test_a_folder_without_any_says_nothing(tmp_path: Path) -> None:
    assert read_checkpoint_tokenizer(folder_of(lambda _: None, tmp_path), VOCAB) == NoTokenizer()


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "added_tokens.json"])
def test_a_damaged_file_is_an_error(name: str, tmp_path: Path) -> None:
    folder = folder_of(plain, tmp_path)
    (folder / name).write_text('{"version": "1.0", "mod')
    with pytest.raises(CheckpointError, match=f"{name} in checkpoint can't be read"):
        read_checkpoint_tokenizer(folder, VOCAB)


def test_a_guessed_class_does_not_empty_a_vocabulary_of_words(tmp_path: Path) -> None:
    # With no class named, transformers takes GPT-2's for every gpt2, and finds no merges.
    folder = folder_of(whole_words, tmp_path)
    (folder / "tokenizer_config.json").unlink()
    assert opened(folder).backend.encode("e4 O-O d4").ids == [1, 3, 0]


def words_without_unknown(folder: Path) -> None:
    """Raises for every other word, in transformers too."""
    tokenizer = Tokenizer(models.WordLevel({"e4": 0, "e5": 1, "O-O": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    save(folder, tokenizer)


def test_a_vocabulary_without_an_unknown_word_is_taken_as_it_is(tmp_path: Path) -> None:
    found = opened(folder_of(words_without_unknown, tmp_path))
    assert found.backend.encode("O-O e4").ids == [2, 0]
    assert found.agreement.differing == 0
    assert {"e4", "e5", "O-O"} <= {word for text, _ in found.cases for word in text.split()}
    shape = ModelShape(1, 8, 2, 2, 4, 16, 3, 16, False)
    passages = calibration_passages(shape, found.backend, (), None)
    assert passages.name == "random ids, as its tokenizer doesn't know 100% of the bundled corpus"
    text = tmp_path / "text.txt"
    text.write_text("e4 e5 knight\n" * 50)
    with pytest.raises(BundleError, match=r"can't read the text; got .*UNK.*\. Give a text"):
        calibration_passages(shape, found.backend, (), text)
    file = tmp_path / "tokenizer.json"
    file.write_text(found.text)
    with pytest.raises(BundleError, match="can't read the text"):
        TokenBytes(file).encode("After Friday comes")


def test_a_strangers_tokenizer_is_left_out(tmp_path: Path) -> None:
    notice = refused(folder_of(plain, tmp_path), 260)
    assert "40 of its 300 tokens have ids from 260 on, and the model has 260" in notice
    assert "the tokenizer that the model was trained with" in notice


@pytest.mark.parametrize("count", [1, 5])
def test_added_tokens_without_rows_are_named(count: int, tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        tokenizer = byte_level()
        tokenizer.add_special_tokens([f"<genre_{i}>" for i in range(count)])
        save(folder, tokenizer)

    found = opened(folder_of(build, tmp_path))
    (notice,) = found.notices
    said = "1 has an id from 300 on" if count == 1 else "5 have ids from 300 on"
    assert f"added tokens, {said}" in notice and "'<genre_0>'" in notice
    assert ("and 2 more" in notice) == (count == 5)
    assert all(token < VOCAB for _, ids in found.cases for token in ids)


def test_many_added_tokens_keep_the_cases_small(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        tokenizer = byte_level()
        tokenizer.add_special_tokens([f"<|reserved_{i}|>" for i in range(2000)])
        tokenizer.add_tokens(["x" * 70_000])
        save(folder, tokenizer)

    found = opened(folder_of(build, tmp_path), 4000)
    data = bundle_files(found)["tokenizer_cases.json"]
    assert len(data) <= 64 * 1024 and len(found.cases) <= MAX_CASES
    limits = json.loads((CONTRACTS / "limits.json").read_text())
    assert len(data) <= limits["json"]["bytes"]


@pytest.mark.parametrize(
    ("before", "after", "want"),
    [([], [], ()), ([1], [], (1,)), ([1, 2], [3], (1, 2)), ([], [9], ()), ([104], [104], (104,))],
)
def test_what_goes_first(before: list[int], after: list[int], want: tuple[int, ...]) -> None:
    def encode(text: str, special: bool) -> list[int]:
        ids = list(text.encode())
        return [*before, *ids, *after] if special else ids

    assert find_first_tokens(encode, ["", "h", "hh", "hello"]) == want


def test_what_changes_from_text_to_text_does_not_go_first() -> None:
    def encode(text: str, special: bool) -> list[int]:
        return [*([len(text)] if special else []), *text.encode()]

    assert find_first_tokens(encode, ["a", "bc"]) is None


@pytest.mark.parametrize(
    ("tokenizer", "bos", "ends", "want"),
    [
        ({"first_tokens": [1]}, 1, [2], (1,)),
        ({"first_tokens": [3, 1]}, 1, [1], (3, 1)),
        # GPT-2's: a text's end is the next one's beginning.
        ({"first_tokens": []}, 0, [0], (0,)),
        ({"first_tokens": []}, 1, [2], ()),
        ({"first_tokens": []}, None, [2], ()),
        # Before manifests 1.2.
        ({}, 1, None, (1,)),
        ({}, 99, None, ()),
    ],
)
def test_what_stands_before_a_passage(
    tokenizer: dict[str, Any], bos: int | None, ends: list[int] | None, want: tuple[int, ...]
) -> None:
    model: dict[str, Any] = {"shape": {"vocab": 50}, "bos_token_id": bos}
    if ends is not None:
        model["end_token_ids"] = ends
    manifest: Any = {"model": model, "tokenizer": tokenizer}
    assert passage_start(manifest) == want


@pytest.mark.parametrize(
    ("config", "generation", "want", "told"),
    [
        (2, None, (2,), []),
        (2, {"eos_token_id": [2, 7]}, (2, 7), []),
        ([5, 2], {"eos_token_id": 9}, (5, 2, 9), []),
        (None, {"eos_token_id": 3}, (3,), []),
        (300, {"bos_token_id": 300}, (), ["300 in config.json", "ends at no token"]),
        (50256, {"eos_token_id": [1, 50256]}, (1,), ["50256 in config.json", "Texts end at 1."]),
        (2, {"eos_token_id": [2, 400]}, (2,), ["400 in generation_config.json"]),
        (-1, {"eos_token_id": True}, (), []),
    ],
)
def test_all_end_tokens(
    config: Any, generation: Any, want: tuple[int, ...], told: list[str], tmp_path: Path
) -> None:
    if generation is not None:
        (tmp_path / "generation_config.json").write_text(json.dumps(generation))
    found = read_end_tokens(tmp_path, config, VOCAB)
    assert found.ids == want
    assert len(found.notices) == bool(told)
    assert all(part in notice for notice in found.notices for part in told)


@pytest.mark.parametrize("content", [b"[1]", b"{", b"\xff"])
def test_a_damaged_generation_config_is_told(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "generation_config.json").write_bytes(content)
    found = read_end_tokens(tmp_path, 2, VOCAB)
    assert found.ids == (2,) and "can't be read" in found.notices[0]


@pytest.mark.parametrize(
    ("build", "text", "want"),
    [
        (plain, "Any text at all 中文", 0.0),
        # Seven characters of nine aren't moves.
        (whole_words, "e4 Nf3 Bb5+", 7 / 9),
        (whole_words, "e4 e5 O-O", 0.0),
        # A vocabulary without an unknown token leaves letters out: four of six.
        (suffixed, "ferry 中文字七", 4 / 9),
    ],
)
def test_the_share_of_text_that_is_unknown(
    build: Build, text: str, want: float, tmp_path: Path
) -> None:
    tokenizer = opened(folder_of(build, tmp_path)).backend
    share = UnknownShare(tokenizer, VOCAB)
    share.add([text], tokenizer.encode_batch([text], add_special_tokens=False))
    assert share.share == pytest.approx(want)


def test_a_vocabulary_that_drops_letters_is_known_to() -> None:
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1}, []))
    share = UnknownShare(tokenizer, 2)
    share.add(["ab cd"], tokenizer.encode_batch(["ab cd"]))
    assert share.share == 0.5


def test_tokens_without_rows_are_unknown_text() -> None:
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 5}, unk_token="a"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    share = UnknownShare(tokenizer, 5)
    share.add(["b"], tokenizer.encode_batch(["b"]))
    assert share.share == 1.0


@pytest.mark.parametrize(
    ("names", "want"),
    [
        (["tokenizer.json", "vocab.json", "merges.txt"], ["tokenizer.json"]),
        (["vocab.json", "merges.txt", "README.md"], ["vocab.json", "merges.txt"]),
        (["tokenizer.model", "added_tokens.json"], ["tokenizer.model", "added_tokens.json"]),
        (["chat_template.jinja", "tokenizer.json"], ["tokenizer.json", "chat_template.jinja"]),
    ],
)
def test_what_is_downloaded_of_a_repository(names: list[str], want: list[str]) -> None:
    assert wanted_files(names) == want


def test_copies_of_a_folder_give_the_same_bytes(tmp_path: Path) -> None:
    folder = folder_of(template_first, tmp_path)
    again = shutil.copytree(folder, tmp_path / "again")
    assert bundle_files(opened(folder)) == bundle_files(opened(again))
