"""Conversations on the page are the texts and ids that transformers' apply_chat_template makes of
them, by templates in formats that are in use, from the files of a bundle."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import transformers
from tokenizer_folders import byte_level, save

from oriel.tokenizers.checkpoint_tokenizer import CheckpointTokenizer, read_checkpoint_tokenizer
from oriel.tokenizers.write_tokenizer import write_tokenizer

ROOT = Path(__file__).resolve().parents[2]
CHATML = """\
{% for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}
{% endfor %}
{% if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{% endif %}
"""
HEADERS = """\
{{- bos_token }}
{%- for message in messages %}
    {{- '<|start_header_id|>' ~ message['role'] ~ '<|end_header_id|>\\n\\n' }}
    {{- message['content'] | trim ~ '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
{%- if tools is not none %}
    {{- raise_exception('no tools here') }}
{%- endif %}
"""
INSTRUCTIONS = """\
{% set system = '' %}
{% if messages[0]['role'] == 'system' %}
    {% set system = messages[0]['content'] ~ '\\n\\n' %}
    {% set rest = messages[1:] %}
{% else %}
    {% set rest = messages %}
{% endif %}
{{ bos_token }}
{%- for message in rest %}
    {% if (message.role == 'user') != (loop.index0 % 2 == 0) %}
        {{ raise_exception('users and assistants take turns') }}
    {% endif %}
    {% if message.role == 'user' %}
        {{- '[INST] ' ~ (system if loop.first else '') ~ message.content ~ ' [/INST]' }}
    {% else %}
        {{- ' ' + message.content + eos_token }}
    {% endif %}
{% endfor %}
"""
TURNS = """\
{{ bos_token }}
{% if messages[0]['role'] == 'system' %}
{{ raise_exception('this model has no system messages') }}
{% endif %}
{% for message in messages %}
{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}
{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}
{% endfor %}
{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}
"""
FORMATS: dict[str, tuple[str, list[str]]] = {
    "chatml": (CHATML, ["<|im_start|>", "<|im_end|>"]),
    "headers": (HEADERS, ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]),
    "instructions": (INSTRUCTIONS, []),
    "turns": (TURNS, ["<start_of_turn>", "<end_of_turn>"]),
}
CHATS = [
    {"system": "", "user": "The ferry left."},
    {"system": "Be short.", "user": "  Why did the pigeons move?\n"},
    {"system": "", "user": "<b>你好</b> {{ messages }} <|im_end|> & 'quotes'"},
]


def messages_of(chat: dict[str, str]) -> list[dict[str, str]]:
    given = [{"role": role, "content": chat[role]} for role in ("system", "user")]
    return [message for message in given if message["content"]]


def on_page(files: Path, chats: list[dict[str, str]]) -> Any:
    asked = {
        "tokenizer": (files / "tokenizer.json").read_text("utf-8"),
        "config": (files / "tokenizer_config.json").read_text("utf-8"),
        "chats": chats,
    }
    done = subprocess.run(
        ["node", "tests/web/render_chats.mjs"],
        cwd=ROOT,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def bundle_files(folder: Path, template: object, markers: list[str]) -> Path:
    """Write a checkpoint's tokenizer, and return the folder with what a bundle has of it."""
    checkpoint, bundle = folder / "checkpoint", folder / "bundle"
    checkpoint.mkdir(parents=True)
    bundle.mkdir()
    specials = ["<s>", "</s>", *markers]
    tokens: dict[str, Any] = {
        "bos_token": "<s>",
        "eos_token": {"content": "</s>", "__type": "AddedToken"},
    }
    save(checkpoint, byte_level(300, specials), chat_template=template, **tokens)
    made = read_checkpoint_tokenizer(checkpoint, 300)
    assert isinstance(made, CheckpointTokenizer)
    write_tokenizer(made, bundle)
    return bundle


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
@pytest.mark.parametrize("name", FORMATS)
def test_conversations_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    template, markers = FORMATS[name]
    bundle = bundle_files(tmp_path, template, markers)
    theirs: Any = transformers.AutoTokenizer.from_pretrained(tmp_path / "checkpoint")
    compared = 0
    for chat, found in zip(CHATS, on_page(bundle, CHATS), strict=True):
        arguments = {"conversation": messages_of(chat), "add_generation_prompt": True}
        if name == "turns" and chat["system"]:
            assert found["kind"] == "refused"
            assert "this model has no system messages" in found["detail"]
            continue
        text = theirs.apply_chat_template(**arguments, tokenize=False)
        assert found["text"] == text
        assert found["ids"] == theirs(text, add_special_tokens=False)["input_ids"]
        ids = theirs.apply_chat_template(**arguments, tokenize=True, return_dict=False)
        assert found["ids"] == list(ids)
        special = {id: token for token, id in theirs.get_added_vocab().items()}
        assert found["special"] == [special[id] for id in ids if id in special]
        compared += 1
    assert compared >= 2


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_what_is_no_template_is_refused_or_left_out(tmp_path: Path) -> None:
    broken = "{% for message in messages %}"
    (found,) = on_page(bundle_files(tmp_path / "a", broken, []), CHATS[:1])
    assert found["kind"] == "refused"
    long = "{% for i in range(999) %}" + "x" * 300 + "{% endfor %}"
    (found,) = on_page(bundle_files(tmp_path / "b", long, []), CHATS[:1])
    assert found == {"kind": "too-long", "characters": 299_700, "limit": 200_000}
    counting = "{% for i in range(5, 0, -2) %}{{ i }}{% endfor %}{{ range(3) | length }}"
    assert on_page(bundle_files(tmp_path / "d", counting, []), CHATS[:1])[0]["text"] == "5313"
    (found,) = on_page(bundle_files(tmp_path / "e", "{{ range(999999999) }}", []), CHATS[:1])
    assert found == {"kind": "refused", "detail": "range of 999999999 numbers"}
    larger = "{{ messages }}" + "x" * 2**17
    assert on_page(bundle_files(tmp_path / "c", larger, []), CHATS[:1]) == [None]
