"""`make test` runs its parts side by side, keeps the output of each together, and ends at the first
failure."""

from __future__ import annotations

import fcntl
import json
import re
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
import run_checks
from check_parts import GROUPS, LANES, PARTS, Part, choose, count_tests, failed_tests
from run_checks import report, run_lanes


def part(name: str, code: str, after: tuple[str, ...] = ()) -> Part:
    return Part(name, (sys.executable, "-c", code), after)


def waiting_for(file: Path, then: str = "pass") -> str:
    """A program that ends once the file is there."""
    waits = f"while not pathlib.Path({str(file)!r}).exists(): time.sleep(0.01)"
    return f"import pathlib, time\n{waits}\n{then}"


def test_lanes_run_side_by_side(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    met = [tmp_path / name for name in ("first", "second")]
    lanes = [
        [part(file.name, f"open({str(file)!r}, 'w').close()\n{waiting_for(other)}")]
        for file, other in zip(met, reversed(met), strict=True)
    ]
    state = run_lanes(lanes, {})
    assert report(state, 1.0, tmp_path / "times.json") == 0
    assert "===== 2 checks passed in 1.00s" in capfd.readouterr().out


def test_a_part_waits_for_what_it_needs(tmp_path: Path) -> None:
    made = tmp_path / "made"
    making = part("demo", f"import time; time.sleep(0.3); open({str(made)!r}, 'w').close()")
    needing = part("pytest", f"open({str(made)!r})", after=("demo",))
    state = run_lanes([[needing], [making]], {})
    assert {name: found.result for name, found in state.outcomes.items()} == {
        "demo": "passed",
        "pytest": "passed",
    }


def test_outputs_do_not_mix(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    says = "import sys, time\nfor i in range(20): print({!r}, i, flush=True); time.sleep(0.01)"
    run_lanes([[part(name, says.format(name))] for name in ("one", "two", "three")], {})
    lines = capfd.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines if re.fullmatch(r"(one|two|three) \d+", line)]
    assert sorted(names) == sorted(["one", "two", "three"] * 20)
    assert sum(one != next_one for one, next_one in pairwise(names)) == 2


def test_a_failure_stops_all_lanes_and_says_which(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    begun, lock = tmp_path / "begun", tmp_path / "lock"
    # What a part started itself must end with it: until then it holds the lock.
    inner = (
        f"import fcntl, time; held = open({str(lock)!r}, 'w'); fcntl.flock(held, fcntl.LOCK_EX); "
        f"open({str(begun)!r}, 'w').close(); time.sleep(600)"
    )
    endless = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    failing = waiting_for(begun, "print('the reason'); raise SystemExit(3)")
    never = part("never", "print('this must not run')")
    lanes = [[part("bad", failing), never], [part("endless", endless)]]
    state = run_lanes(lanes, {})
    assert report(state, 1.0, tmp_path / "times.json") == 1
    said = capfd.readouterr().out
    assert "the reason" in said and "FAILED: bad" in said and "this must not run" not in said
    kept = json.loads((tmp_path / "times.json").read_text("utf-8"))
    assert kept["failed"] == "bad"
    assert {row["name"]: row["result"] for row in kept["parts"]} == {
        "bad": "failed",
        "endless": "stopped",
    }
    assert is_free(lock)


def is_free(lock: Path) -> bool:
    """Whether nobody holds a file's lock, or soon nobody does: a process may take time to end."""
    with lock.open("w") as file:
        for _ in range(600):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                time.sleep(0.05)
    return False


def test_a_part_that_does_not_end_when_it_is_asked_to_is_made_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_checks, "END_WITHIN_SECONDS", 0.2)
    deaf = tmp_path / "deaf"
    hears_nothing = (
        "import signal, time\n"
        "for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, signal.SIG_IGN)\n"
        f"open({str(deaf)!r}, 'w').close()\ntime.sleep(600)"
    )
    failing = waiting_for(deaf, "raise SystemExit(1)")
    state = run_lanes([[part("bad", failing)], [part("endless", hears_nothing)]], {})
    assert state.failed == "bad"
    assert state.outcomes["endless"].result == "stopped"


def test_a_part_is_asked_to_end_as_from_the_keyboard(tmp_path: Path) -> None:
    """Playwright ends its servers then, and not when it is terminated."""
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    tidy = (
        "import signal, time\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"try:\n  open({str(begun)!r}, 'w').close(); time.sleep(600)\n"
        f"except KeyboardInterrupt: open({str(ended)!r}, 'w').close()"
    )
    failing = waiting_for(begun, "raise SystemExit(1)")
    run_lanes([[part("bad", failing)], [part("tidy", tidy)]], {})
    assert ended.exists()


def test_a_program_that_does_not_start_is_a_failure(tmp_path: Path) -> None:
    missing = Part("missing", (str(tmp_path / "nothing"),))
    waits = part("waits", "import time; time.sleep(60)")
    state = run_lanes([[missing], [waits]], {})
    assert report(state, 1.0, tmp_path / "times.json") == 1
    assert state.failed == "missing"


def test_the_time_of_each_part_is_kept(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass\nprint('  Tests  7 passed (7)')"
    state = run_lanes([[part("vitest", burn)]], {})
    assert report(state, 2.0, tmp_path / "deep" / "times.json") == 0
    kept = json.loads((tmp_path / "deep" / "times.json").read_text("utf-8"))
    (row,) = kept["parts"]
    assert row["seconds"] >= 0.3 and row["cpu_seconds"] >= 0.3
    assert row["counts"] == {"passed": 7}
    table = capfd.readouterr().out
    assert "7 passed" in table.splitlines()[-2] and "===== 7 passed in 2.00s" in table


def test_words_choose_parts_and_what_they_need() -> None:
    assert choose([]) == list(PARTS)
    assert choose(["lint"]) == list(GROUPS["lint"])
    assert choose(["pytest", "ruff"]) == ["ruff", "standalone", "pytest", "demo"]
    assert choose(["playwright"]) == ["standalone", "playwright", "demo", "bundles"]
    with pytest.raises(ValueError, match="unknown: rough; known: lint, ruff"):
        choose(["rough", "ruff"])


def test_no_part_waits_for_one_that_comes_after_it_in_its_lane() -> None:
    for lane in LANES:
        names = [part.name for part in lane]
        for part in lane:
            assert not set(part.after) & set(names[names.index(part.name) :])


@pytest.mark.parametrize(
    ("name", "output", "counts"),
    [
        ("pytest", "===== 1 failed, 3020 passed, 1 skipped in 261.12s (0:04:21) =====",
         {"failed": 1, "passed": 3020, "skipped": 1}),
        ("vitest", "\x1b[2m Test Files \x1b[22m 53 passed (53)\n\x1b[2m      Tests \x1b[22m "
         "\x1b[1m\x1b[32m1439 passed\x1b[39m\x1b[22m (1439)", {"passed": 1439}),
        ("playwright", "  1 flaky\n    [isolated] › a.spec.ts:1:1 › 2 passed\n  10 skipped\n"
         "  258 passed (32.0m)", {"flaky": 1, "skipped": 10, "passed": 258}),
        ("mypy", "  5 passed", {}),
    ],
)  # fmt: skip
def test_what_runners_say_is_counted(name: str, output: str, counts: dict[str, int]) -> None:
    assert count_tests(name, output) == counts


@pytest.mark.parametrize(
    ("name", "output", "failed"),
    [
        ("pytest", "FAILED a/test_b.py::test_c[d] - assert 1 == 2\nERROR a/test_e.py\n== 1 failed",
         ["a/test_b.py::test_c[d] - assert 1 == 2", "a/test_e.py"]),
        ("vitest", " \x1b[41m FAIL \x1b[49m a.test.ts > b\n FAIL  a.test.ts > b\n Tests 1 failed",
         ["a.test.ts > b"]),
        ("playwright", "  1) [isolated] › a.spec.ts:1:1 › b\n    [not a test]\n  1 failed\n"
         "    [isolated] › a.spec.ts:1:1 › b \n  1 flaky\n    [webgpu] › c.spec.ts:1:1 › d \n"
         "  258 passed (32.0m)", ["[isolated] › a.spec.ts:1:1 › b"]),
        ("mypy", "FAILED a", []),
    ],
)  # fmt: skip
def test_failed_tests_are_named(name: str, output: str, failed: list[str]) -> None:
    assert failed_tests(name, output) == failed


def test_the_failed_tests_are_named_at_the_end(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fails = "print('FAILED a.py::b - reason'); print('x' * 9999); raise SystemExit(1)"
    state = run_lanes([[part("pytest", fails)]], {})
    assert report(state, 1.0, tmp_path / "times.json") == 1
    assert "failed: a.py::b - reason" in capfd.readouterr().out.splitlines()[-2]
