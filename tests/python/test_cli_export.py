"""export.py as it is called: flags, messages and exit codes, and when it has nothing to do."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from checkpoint_files import checked_line, copy_checkpoint
from command_lines import export_main
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

import oriel
from oriel.cli import COMMANDS, main
from oriel.commands.export import COMMAND, export_options
from oriel.commands.run_command import run_command
from oriel.errors import OrielError
from oriel.models import find_checkpoint as finding
from oriel.models.load_model import load_model
from oriel.options import parse_layers


def line_of(capsys: pytest.CaptureFixture[str], code: int, expected_code: int = 2) -> str:
    """The one error line of a command that has just ended, apart from lines of progress."""
    out, err = capsys.readouterr()
    assert code == expected_code, err
    assert out == ""
    lines = [line for line in err.splitlines() if not line.startswith("[")]
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    return checked_line(lines[0])


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flags are judged before torch is loaded or a checkpoint looked for."""

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("the flags were good enough to start")

    monkeypatch.setattr("oriel.export_bundle.export", never)


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--layers", "x"], "--layers can't be read; got 'x'; expected whole numbers from 0 on"),
        (["--layers", "-1"], "--layers can't be read; got '-1'"),
        (["--layers=-1"], "--layers can't be read; got '-1'"),
        (["--layers", ""], "--layers can't be read; got ''"),
        (["--layers", "0,,5"], "--layers can't be read; got '0,,5'"),
        (["--layers", "1.5"], "--layers can't be read; got '1.5'"),
        (["--layers", "5-3"], "--layers can't be read; got '5-3'"),
        (["--layers", "99999"], "--layers can't be read; got '99999'"),
        (["--layers", "٣"], "--layers can't be read; got '٣'"),
        (["--layers"], "argument --layers: expected one argument. See export.py --help"),
        (["--layers", "0", "--all-layers"], "--layers and --all-layers exclude each other"),
        (["--activations", "mlp_act,soul"], "--activations names what doesn't exist; got 'soul'"),
        (["--activations", "logits"], "--activations names what doesn't exist; got 'logits'"),
        (["--activations", " , "], "--activations names nothing; got ' , '; expected some of"),
        (["--opset", "17"], "--opset can't be used; got '17'; expected 18 to 22"),
        (["--opset", "23"], "--opset can't be used; got '23'"),
        (["--opset", "abc"], "--opset can't be used; got 'abc'"),
        (["--opset", "20.0"], "--opset can't be used; got '20.0'"),
        (["--precision", "fp8"], "--precision names what doesn't exist; got 'fp8'; expected some"),
        (["--precision", ""], "--precision names nothing; got ''"),
        (["--output", ""], "--output is empty; expected a path such as out/model.onnx"),
        (["--nonsense"], "unrecognized arguments: --nonsense. See export.py --help"),
        (["model"], "unrecognized arguments: model"),
    ],
)
def test_a_bad_flag_gets_one_line(
    flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in line_of(capsys, export_main(flags))
    program = said.replace("export.py --help", "oriel export --help")
    assert program in line_of(capsys, main(["export", *flags]))


def test_flags_mean_what_they_say() -> None:
    flags = "--model=demo --layers=5,0-2,5 --activations mlp_act,q --opset 18 --force --json"
    flags += " --precision fp16,fp32,fp16 --output here/x.onnx"
    options = export_options(COMMAND.parse(flags.split()))
    assert (options.model, options.revision) == ("demo", None)
    assert options.layers == (0, 1, 2, 5)
    assert options.activations == ("mlp_act", "q")
    assert options.precision == ("fp16", "fp32")
    assert (options.opset, options.output) == (18, Path("here/x.onnx"))
    assert (options.force, options.json, options.verify, options.all_layers) == (1, 1, 0, 0)
    assert parse_layers(" 3, 0-1 ") == (0, 1, 3)


@pytest.mark.parametrize("argv", [["--help"], ["-h"]])
def test_help_is_on_stdout(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        export_main(argv)
    assert caught.value.code == 0
    out, err = capsys.readouterr()
    assert err == ""
    for flag in vars(export_options(COMMAND.parse([]))):
        assert f"--{flag.replace('_', '-')}" in out, flag


def test_help_loads_nothing_heavy() -> None:
    """The help of every command must appear at once."""
    program = """
import sys
from oriel.cli import COMMANDS, main
main(["--help"])
for name in COMMANDS:
    try:
        main([name, "--help"])
    except SystemExit as end:
        assert end.code == 0
loaded = {"torch", "transformers", "onnx", "onnxruntime", "numpy"} & set(sys.modules)
assert not loaded, loaded
"""
    root = Path(oriel.__file__).parents[1]
    subprocess.run([sys.executable, "-c", program], cwd=root, check=True, capture_output=True)


def test_every_file_of_a_command_is_listed() -> None:
    folder = Path(oriel.__file__).parent / "commands"
    files = {f.stem for f in folder.glob("*.py") if "\nCOMMAND = Command(" in f.read_text("utf-8")}
    assert files == {name.replace("-", "_") for name in COMMANDS}
    assert all(name == command.name for name, command in COMMANDS.items())


def test_oriel_names_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert (
        "{doctor,export,verify,select,quantize,fidelity,publish,check-url,check-device,convert,"
        "split,prove,pipeline,recommend,inspect,fit-lens,add-lens,add-dictionary,train-dictionary,"
        "lesson,dashboards,add-dashboards}" in capsys.readouterr().out
    )
    assert "no command; expected doctor, export, verify, select, quantize, fidelity, " in line_of(
        capsys, main([])
    )
    assert "no such command; got 'exprot'" in line_of(capsys, main(["exprot"]))


def export(checkpoint: Path, folder: Path, *flags: str) -> int:
    return export_main(["--model", str(checkpoint), "--output", str(folder / "model.onnx"), *flags])


class TestWhatTheModelLacks:
    @pytest.mark.parametrize(
        ("flags", "said"),
        [
            (
                ["--layers", "4"],
                "names a layer that the model doesn't have; got 4; expected 0 to 3",
            ),
            (["--layers", "2,7-20"], "got 7, 8, 9, 10, 11, 12, 13, 14 and more; expected 0 to 3"),
        ],
    )
    def test_a_layer(
        self,
        flags: list[str],
        said: str,
        tiny_gpt2_checkpoint: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        assert said in line_of(capsys, export(tiny_gpt2_checkpoint, tmp_path / "out", *flags))
        assert list(tmp_path.iterdir()) == []

    def test_the_bundled_model_has_twelve(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        output = str(tmp_path / "model.onnx")
        code = export_main(["--model", "demo", "--layers", "12", "--output", output])
        assert "got 12; expected 0 to 11" in line_of(capsys, code)

    def test_a_checkpoint(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        code = export(tmp_path / "no-checkpoint", tmp_path / "out")
        assert "no such checkpoint; got" in line_of(capsys, code)
        assert list(tmp_path.iterdir()) == []


class TestUpToDate:
    """`tiny_gpt2_bundle` was exported with --layers 0,2."""

    @pytest.fixture
    def bundle(self, tiny_gpt2_bundle: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(tiny_gpt2_bundle, tmp_path / "tiny-gpt2"))

    @pytest.fixture
    def started(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Replace the export by an interruption; return a list that records whether it was
        started."""
        begun: list[str] = []

        def stop(*_: Any, **__: Any) -> Any:
            begun.append("export")
            raise KeyboardInterrupt

        monkeypatch.setattr("oriel.export_bundle._fill", stop)
        return begun

    def test_the_same_export_again_says_so_and_changes_nothing(
        self,
        bundle: Path,
        started: list[str],
        tiny_gpt2_checkpoint: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        before = {f: (f.stat().st_mtime_ns, f.stat().st_ino) for f in bundle.iterdir()}
        assert export(tiny_gpt2_checkpoint, bundle, "--layers", "0,2") == 0
        out, err = capsys.readouterr()
        assert started == []
        assert "model.onnx is up to date: 7 files" in out
        assert all(line.startswith("[") for line in err.splitlines())
        assert {f: (f.stat().st_mtime_ns, f.stat().st_ino) for f in bundle.iterdir()} == before

    def test_json_says_the_same_and_nothing_else(
        self,
        bundle: Path,
        started: list[str],
        tiny_gpt2_checkpoint: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        assert export(tiny_gpt2_checkpoint, bundle, "--layers", "0,2", "--json") == 0
        out, err = capsys.readouterr()
        assert started == []
        assert err == ""
        result = json.loads(out)
        assert result["output"] == str(bundle / "model.onnx")
        assert result["manifest"] == json.loads((bundle / "manifest.json").read_text())

    @pytest.mark.parametrize(
        "flags",
        [
            ["--layers", "0,2", "--force"],
            ["--layers", "0,3"],
            ["--all-layers"],
            [],
            ["--layers", "0,2", "--activations", "mlp_act"],
            ["--layers", "0,2", "--opset", "18"],
            ["--layers", "0,2", "--precision", "fp32,fp16"],
        ],
    )
    def test_another_wish_is_another_export(
        self, flags: list[str], bundle: Path, started: list[str], tiny_gpt2_checkpoint: Path
    ) -> None:
        assert export(tiny_gpt2_checkpoint, bundle, *flags) == 130
        assert started == ["export"]

    @pytest.mark.parametrize("name", ["model.onnx.data", "model.onnx", "model.open.onnx"])
    @pytest.mark.parametrize("damage", ["one byte", "shorter", "gone"])
    def test_a_damaged_bundle_is_made_anew(
        self, damage: str, name: str, bundle: Path, started: list[str], tiny_gpt2_checkpoint: Path
    ) -> None:
        file = bundle / name
        data = bytearray(file.read_bytes())
        if damage == "one byte":
            data[len(data) // 2] ^= 1
        file.write_bytes(data[:-1] if damage == "shorter" else data)
        if damage == "gone":
            file.unlink()
        assert export(tiny_gpt2_checkpoint, bundle, "--layers", "0,2") == 130
        assert started == ["export"]

    @pytest.mark.parametrize(
        ("keys", "value"),
        [
            (("exporter", "version"), "0.0.1"),
            (("exporter", "libraries", "torch"), "1.0"),
            (("model", "source", "kind"), "hub"),
            (("model", "source", "note"), "this is another model"),
            (("contract_version",), "1.99"),
            (("files",), []),
            (("variants",), "none"),
            (("model",), None),
        ],
    )
    def test_a_bundle_of_another_make_is_made_anew(
        self,
        keys: tuple[str, ...],
        value: object,
        bundle: Path,
        started: list[str],
        tiny_gpt2_checkpoint: Path,
    ) -> None:
        file = bundle / "manifest.json"
        data = json.loads(file.read_text())
        at = data
        for key in keys[:-1]:
            at = at[key]
        at[keys[-1]] = value
        if keys == ("files",):
            for other in set(bundle.iterdir()) - {file}:
                other.unlink()
        file.write_text(json.dumps(data))
        assert export(tiny_gpt2_checkpoint, bundle, "--layers", "0,2") == 130
        assert started == ["export"]

    def test_other_weights_or_another_config_are_another_model(
        self, bundle: Path, started: list[str], tiny_gpt2_checkpoint: Path, tmp_path: Path
    ) -> None:
        same = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "a" / "tiny-gpt2")
        shutil.copyfile(tiny_gpt2_checkpoint / "config.json", same / "config.json")
        assert export(same, bundle, "--layers", "0,2") == 0
        # The same tensors, and yet another function of them.
        other = {"activation_function": "relu"}
        config = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "b" / "tiny-gpt2", config=other)
        assert export(config, bundle, "--layers", "0,2") == 130
        weights = copy_checkpoint(
            tiny_gpt2_checkpoint,
            tmp_path / "c" / "tiny-gpt2",
            change=lambda tensors: tensors["transformer.wpe.weight"].add_(0.01),
        )
        shutil.copyfile(tiny_gpt2_checkpoint / "config.json", weights / "config.json")
        assert export(weights, bundle, "--layers", "0,2") == 130
        tokens = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "d" / "tiny-gpt2")
        shutil.copyfile(tiny_gpt2_checkpoint / "config.json", tokens / "config.json")
        words = Tokenizer(WordLevel({"a": 0, "b": 1}, unk_token="a"))
        words.save(str(tokens / "tokenizer.json"))
        assert export(tokens, bundle, "--layers", "0,2") == 130
        sampling = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "e" / "tiny-gpt2")
        shutil.copyfile(tiny_gpt2_checkpoint / "config.json", sampling / "config.json")
        generation = {"bos_token_id": 0, "eos_token_id": 0, "temperature": 0.5}
        sampling.joinpath("generation_config.json").write_text(json.dumps(generation))
        assert export(sampling, bundle, "--layers", "0,2") == 130
        assert len(started) == 4


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_what_stands_in_for_gpt2_is_announced_and_recorded(
    tiny_gpt2_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The whole way without a Hub, a tiny model in the bundled one's place: the notice and the
    manifest."""
    monkeypatch.setattr(finding, "demo_folder", lambda: tiny_gpt2_checkpoint)
    monkeypatch.setattr(finding, "local_gpt2_folder", lambda: tmp_path / "no-such-folder")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    output = tmp_path / "out" / "model.onnx"
    assert export_main(["--layers", "0,3", "--output", str(output), "--json"]) == 0
    out, err = capsys.readouterr()
    notice = " ".join(err.split())
    assert "NOTICE This is NOT GPT-2: gpt2 is not in the local cache" in notice
    assert "so the small bundled model was exported in its place" in notice
    manifest = json.loads((output.parent / "manifest.json").read_text())
    assert json.loads(out) == {"output": str(output), "manifest": manifest}
    source = manifest["model"]["source"]
    assert (manifest["model"]["name"], source["kind"], source["id"]) == ("demo", "bundled", "demo")
    assert source["revision"] is None
    assert source["note"].startswith("This is NOT GPT-2")
    for descriptor in manifest["files"]:
        data = (output.parent / descriptor["path"]).read_bytes()
        assert (descriptor["bytes"], descriptor["digest"]) == (len(data), digest(data))
    # A second run is up to date, and no less loud.
    assert export_main(["--layers", "0,3", "--output", str(output)]) == 0
    out, err = capsys.readouterr()
    assert "up to date" in out
    assert "NOTICE\nThis is NOT GPT-2" in err
    # And the model asked for by its own name is not the same thing as the one that stood in.
    found = finding.find_checkpoint("demo")
    assert load_model(found).source.note is None


def test_the_entry_prints_one_line_and_no_traceback(tmp_path: Path) -> None:
    """As a person meets it: the file, run by another Python process."""
    entry = Path(oriel.__file__).parents[1] / "export.py"
    result = subprocess.run(
        [sys.executable, str(entry), "--layers", "zero"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert checked_line(result.stderr.strip()).startswith("error: --layers can't be read")


class TestCtrlC:
    """Ctrl-C may meet a library half-way through its own set-up or clean-up."""

    @staticmethod
    def turned_into(error: type[Exception], *, said: bool) -> Any:
        def command() -> int:
            try:
                raise KeyboardInterrupt
            except KeyboardInterrupt as stop:
                raise error("not set up yet") from (stop if said else None)

        return command

    @pytest.mark.parametrize("error", [UnboundLocalError, OSError, OrielError])
    @pytest.mark.parametrize("said", [True, False])
    def test_is_told_as_such_whatever_a_library_makes_of_it(
        self, error: type[Exception], said: bool, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run_command(self.turned_into(error, said=said)) == 130
        out, err = capsys.readouterr()
        assert (out, err) == ("", "stopped: no file was left half-written\n")

    def test_a_mistake_of_ours_is_not_hidden(self) -> None:
        def command() -> int:
            raise UnboundLocalError("a mistake")

        with pytest.raises(UnboundLocalError, match="a mistake"):
            run_command(command)
