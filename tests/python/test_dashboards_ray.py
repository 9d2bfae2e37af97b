"""Tests `oriel dashboards --ray` on a real cluster of two workers on this machine: one of them is
killed, and then the driver stopped, and the bytes are those of the plain loop."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from pathlib import Path

import psutil
import pytest
from dashboard_dictionaries import add_random
from dashboard_runs import after_saves, files_of, passages, run, stop, write_text

from oriel.dashboards import formats

ray = pytest.importorskip("ray")

ALL = ("--kinds", "mlp_act,attn_z,resid_post,features")


def workers() -> list[psutil.Process]:
    """Return the processes of the workers that this process's cluster started."""
    own = psutil.Process().children(recursive=True)
    return [each for each in own if "MapWorker" in " ".join(each.cmdline())]


@pytest.mark.slow
def test_a_killed_worker_and_a_stopped_driver_change_no_byte(
    dashboard_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    corpus = write_text(tmp_path / "some.txt", passages(150))
    bundle = tmp_path / "bundle"
    shutil.copytree(dashboard_bundle, bundle)
    place = ("mlp_output", 1)
    add_random(bundle, "mlp", seed=0, reads=place, writes=place, features=40)
    monkeypatch.setattr(formats, "SHARD_BYTES", 1000)
    words = ("--corpus", corpus, *ALL, "--tokens", "5000")
    killed: list[int] = []

    def kill() -> None:
        found = workers()
        assert len(found) == 2
        os.kill(found[0].pid, signal.SIGKILL)
        killed.append(found[0].pid)

    out = tmp_path / "dashboards"
    with pytest.MonkeyPatch.context() as patch:
        after_saves(patch, 1, kill)
        after_saves(patch, 4, stop)
        assert run(bundle, out, *words, "--ray", "local", "--workers", "2") == 130
    assert killed
    assert not out.exists()
    assert "stopped" in capsys.readouterr().err
    again = ("--ray", "local", "--workers", "2")
    assert run(bundle, out, *words, *again) == 0
    assert run(bundle, tmp_path / "plain", *words) == 0
    assert files_of(out) == files_of(tmp_path / "plain")


def test_an_address_without_ray_is_told_in_a_line(
    dashboard_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = write_text(tmp_path / "some.txt", passages(5))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    code = run(dashboard_bundle, tmp_path / "out", "--corpus", corpus, "--ray", address)
    assert code == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith(f"error: there is no Ray at {address}; got ")
    assert not (tmp_path / "out").exists()


def test_a_ray_of_another_version_is_told_in_a_line(
    dashboard_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ray compares its version with the cluster's by this function when it connects."""
    from ray._private import utils

    cluster = {"ray_version": "2.9.0", "python_version": "3.10.1"}
    corpus = write_text(tmp_path / "some.txt", passages(5))
    monkeypatch.setattr(ray, "init", lambda **_: utils.check_version_info(cluster, "at 10.0.0.1"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        code = run(dashboard_bundle, tmp_path / "out", "--corpus", corpus, "--ray", address)
    assert code == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith(f"error: the Ray at {address} is of another version; got ")
    assert "2.9.0" in line
