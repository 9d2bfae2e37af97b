"""The process that verification forks from: whatever one verification does, the next one runs."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from oriel.errors import ModuleError
from oriel.modules import fresh_process
from oriel.modules.fresh_process import run_fresh
from oriel.modules.verify_module import Case, verify_file


@pytest.fixture(scope="module")
def double(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TorchScript file that doubles its input."""

    class Double(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
            return (x * 2,)

    file = tmp_path_factory.mktemp("double") / "model.ts"
    torch.jit.trace(Double(), torch.ones(2)).save(str(file))  # type: ignore[no-untyped-call]
    return file


def is_verified(file: Path) -> bool:
    x = torch.tensor([1.0, -3.0])
    (result,) = verify_file("ts", file, ["y"], [Case("a case", [x], [x + x])])
    return result.passed


@pytest.fixture(params=["forked", "started"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    way: str = request.param
    monkeypatch.setattr(fresh_process, "_CAN_FORK", way == "forked")
    return way


def server_process() -> int:
    server = fresh_process._server
    assert server is not None
    return server._process.pid


def test_a_file_is_verified(way: str, double: Path) -> None:
    assert is_verified(double)


def test_an_end_without_a_result_is_told(way: str, double: Path, tmp_path: Path) -> None:
    ended = run_fresh(tmp_path, 60)
    assert ended.exit_code == 1
    assert "No such file" in ended.said.splitlines()[-1]
    assert "request.json" in ended.said
    assert is_verified(double)


def test_one_process_serves_them_all(double: Path) -> None:
    assert is_verified(double)
    first = server_process()
    assert is_verified(double)
    assert server_process() == first


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A folder whose request nobody ever finishes to write."""
    os.mkfifo(tmp_path / "request.json")
    return tmp_path


def test_a_verification_without_end_is_ended(way: str, endless: Path, double: Path) -> None:
    with pytest.raises(ModuleError, match="takes too long"):
        run_fresh(endless, 0.5)
    assert is_verified(double)


def kill_server() -> None:
    os.kill(server_process(), signal.SIGKILL)


def kill_server_and_fork() -> None:
    os.killpg(server_process(), signal.SIGKILL)


@pytest.mark.parametrize("kill", [kill_server, kill_server_and_fork])
def test_a_kill_during_a_verification_is_told(
    kill: Callable[[], None], endless: Path, double: Path
) -> None:
    assert is_verified(double)
    timer = threading.Timer(0.3, kill)
    timer.start()
    ended = run_fresh(endless, 60)
    timer.join()
    assert ended.exit_code == -signal.SIGKILL
    assert is_verified(double)


def test_an_interrupt_leaves_no_answer_for_the_next(
    endless: Path, double: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a notebook, where the process goes on after it."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("oriel.modules.fresh_process.DefaultSelector.select", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_fresh(endless, 60)
    # Its answer would be that there is no request.
    (endless / "request.json").unlink()
    assert is_verified(double)


def test_a_kill_between_two_is_not_noticed(double: Path) -> None:
    assert is_verified(double)
    kill_server()
    fresh_process._server._process.wait()  # type: ignore[union-attr]
    assert is_verified(double)


def test_a_fork_of_the_caller_has_its_own(double: Path) -> None:
    """Two processes that spoke with one would read each other's answers."""
    assert is_verified(double)
    parents = server_process()
    child = os.fork()
    if child == 0:
        fresh_process._server.end()  # type: ignore[union-attr]
        other = fresh_process._running_server()
        os._exit(0 if other is not None and other._process.pid != parents else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    os.kill(parents, 0)
    assert is_verified(double)
