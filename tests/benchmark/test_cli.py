"""The command line: every mistake is one sentence on stderr with the remedy, exit code 2, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from epishot.benchmark.cli import run_app

FAULTY = Path(__file__).with_name("faulty_methods.py")
TASK = "synthetic@cells=3,pairs=500"
GRID = ["--protocol", "cell", "--shots", "0,8", "--draws", "2", "--seeds", "1"]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def ad_hoc(*more: str, task: str = TASK, methods: str = "constant") -> list[str]:
    return ["run", "--task", task, "--methods", methods, "--store", "runs", *more]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run"], "--suite demo"),
        (["run", "--suite", "demoo"], "Did you mean 'demo'"),
        (["run", "--suite", "demo", "--shots", "8"], "leave out --shots"),
        (["run", "--task", TASK], "No methods were given"),
        (["run", "--task", TASK, "--method", "plugin"], "file.py:ClassName"),
        (["run", "--task", TASK, "--method", "nowhere.py:A"], "no file"),
        (["run", "--task", TASK, "--method", f"{FAULTY}:Goood"], "Did you mean 'Good'"),
        (ad_hoc(task="sinthetic"), "Did you mean 'synthetic'"),
        (ad_hoc(task="synthetic@cell=3"), "Did you mean 'cells'"),
        (ad_hoc(task="./nowhere"), "no folder"),
        (ad_hoc(methods="constnat"), "Did you mean 'constant'"),
        (ad_hoc(methods="constant,constant"), "once"),
        (ad_hoc("--protocol", "chrom"), "no protocol 'chrom'"),
        (ad_hoc("--regime", "labeled"), "Did you mean 'labelled'"),
        (ad_hoc("--balance", "even"), "Known: natural, balanced"),
        (ad_hoc("--regime", "unlabelled", "--balance", "balanced"), "need labels"),
        (ad_hoc("--balance", "balanced", "--shots", "7"), "even k"),
        (ad_hoc("--shots=-8"), "0 or more"),
        (ad_hoc("--shots", "8,x"), "whole numbers"),
        (ad_hoc("--shots", ","), "No shots"),
        (ad_hoc("--regime", "none", "--shots", "8"), "--shots 0"),
        (ad_hoc("--draws", "0"), "at least 1"),
        (ad_hoc("--draws", "many"), "See `epishot run --help`"),
        (ad_hoc("--seeds", "0"), "at least 1"),
        (ad_hoc("--jobs", "0"), "at least 1"),
        (ad_hoc("--timeout", "0"), "--timeout"),
        (ad_hoc("--budget", "-1"), "budget"),
        (ad_hoc("--cells", "HeLa"), "has no cell 'HeLa'"),
        (ad_hoc("--bugdet", "1"), "--bugdet"),
        (ad_hoc("--store", "file/runs"), "--store"),
        (ad_hoc("--board", "file/board"), "--board"),
        (["rum"], "rum"),
        (["tasks", "show", "bengy"], "Did you mean 'bengi'"),
        (["tasks", "feasibility", "synthetic", "--protocol", "x"], "no protocol 'x'"),
        (["tasks", "feasibility", "synthetic", "--shots=-1"], "Shots"),
        (["tasks", "validate", "nowhere"], "no folder"),
        (["methods", "show", "proto"], "Did you mean"),
        (["check", "constnat"], "Did you mean 'constant'"),
        (["check", "constant", "--only", "shape"], "shapes"),
        (["episodes", "show", "abc"], "episodes list"),
        (["episodes", "show", "/abs"], "0 episode sets"),
        (["episodes", "show", "["], "0 episode sets"),
        (["episodes", "build", "synthetic", "--draws", "0"], "draw"),
        (["leaderboard"], "no records"),
        (["leaderboard", "--board", "nowhere"], "no records in nowhere"),
    ],
    ids=lambda value: " ".join(value[-2:])[-40:] if isinstance(value, list) else "",
)
def test_mistakes_are_one_sentence_with_the_remedy(
    arguments: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("file").write_text("")
    assert run_app(arguments) == 2
    out, err = capfd.readouterr()
    assert said in err
    assert err.startswith("Error: ")
    assert "Traceback" not in err + out
    assert len(err.strip().splitlines()) == 1


def test_missing_data_offline_names_the_remedy(tmp_path: Path) -> None:
    # A process of its own: a task that another test has loaded is kept in this one.
    env = os.environ | {"EPISHOT_DATA": str(tmp_path / "no-mirror"), "EPISHOT_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-c", "from epishot.benchmark.cli import main; main()", *ad_hoc(task="crispr")]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 2
    assert "EPISHOT_DATA" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_invalid_folder_lists_every_problem(capfd: pytest.CaptureFixture[str]) -> None:
    Path("mine").mkdir()
    assert run_app(["tasks", "validate", "mine"]) == 2
    assert "card.json" in capfd.readouterr().err


def test_dry_run_prints_the_grid_and_runs_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_app(ad_hoc(*GRID, "--dry-run", "--budget", "0.5", methods="constant,support-ridge")) == 0
    out = capfd.readouterr().out
    assert "core-hours" in out
    assert "6 fits to run" in out
    (line,) = [line for line in out.splitlines() if "support-ridge" in line]
    assert line.replace("│", " ").split()[-4:] == ["3", "6", "6", "1"]
    assert not list(Path("runs").glob("records/*/*"))
    assert not list(Path("runs").glob("board/records/*"))


def test_dry_run_tells_what_is_infeasible(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_app(ad_hoc("--protocol", "cell", "--shots", "99999", "--dry-run", methods="support-ridge")) == 0
    out = capfd.readouterr().out
    assert "infeasible: synthetic" in out
    assert "enhancer-gene pairs" in out


def test_a_plugin_by_file_runs_from_the_command_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_app(ad_hoc(*GRID, "--method", f"{FAULTY}:Good", "--method", f"{FAULTY}:Raises")) == 1
    out = capfd.readouterr().out
    assert "9 runs computed" in out
    assert "6 failed" in out
    assert "no way" in out
    board = Path("runs/board/LEADERBOARD.md").read_text()
    assert "good" in board
    assert str(FAULTY.parent) not in board
    assert run_app(["leaderboard", "--out", "elsewhere"]) == 0
    for name in ("LEADERBOARD.md", "leaderboard.csv", "leaderboard.json"):
        assert (Path("elsewhere") / name).read_bytes() == (Path("runs/board") / name).read_bytes()


def test_a_plugin_may_not_go_by_a_registered_name(capfd: pytest.CaptureFixture[str]) -> None:
    source = FAULTY.read_text()
    Path("plug.py").write_text(source.replace('name = "good"', 'name = "constant"'))
    for _ in range(2):  # also once the plugin's description is kept in the store
        assert run_app(["run", "--task", TASK, "--method", "plug.py:Good", *GRID]) == 2
        err = capfd.readouterr().err
        assert "'constant' is already taken by epishot.baselines.controls:Constant" in err
        assert "plug.py:Good" in err
        assert len(err.strip().splitlines()) == 1
    assert not list(Path("runs").glob("records/*/*"))


def test_a_registered_method_may_be_named_by_its_module(capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["run", "--task", TASK, "--method", "epishot.baselines.controls:Constant", *GRID, "--dry-run"]
    assert run_app(arguments) == 0
    assert "constant" in capfd.readouterr().out


def test_the_listing_commands_answer(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_app(["--version"]) == 0
    assert run_app(["tasks"]) == 0
    assert run_app(["tasks", "show", TASK]) == 0
    assert run_app(["tasks", "feasibility", TASK, "--shots", "0,8"]) == 0
    assert run_app(["methods"]) == 0
    assert run_app(["methods", "show", "maml"]) == 0
    assert run_app(["episodes", "build", TASK, "--draws", "2", "--shots", "0,8"]) == 0
    assert run_app(["episodes", "list"]) == 0
    out = capfd.readouterr().out
    for word in ("synthetic-null", "bengi", "protonet", "energy-additive", "content hash", "detectable"):
        assert word in out
    (folder,) = Path("runs/episodes").iterdir()
    assert run_app(["episodes", "show", folder.name[:8]]) == 0
    assert folder.name in capfd.readouterr().out


def test_check_exits_with_one_if_the_method_breaks_the_contract(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_app(["check", f"{FAULTY}:Good", "--only", "shapes,finite"]) == 0
    assert run_app(["check", f"{FAULTY}:WrongShape", "--only", "shapes"]) == 1


def epishot(*arguments: str, **more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from epishot.benchmark.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **more)  # type: ignore[call-overload]


@pytest.mark.parametrize("command", [["--help"], ["run", "--help"], ["tasks"], ["methods"]], ids=" ".join)
def test_light_commands_import_nothing_heavy(command: list[str]) -> None:
    program = (
        "import sys\nfrom epishot.benchmark.cli import run_app\n"
        f"run_app({command!r})\n"
        "heavy = {'torch', 'sklearn', 'scipy', 'pandas', 'datasets'} & set(sys.modules)\n"
        "light_only = {'numpy', 'pyarrow'} & set(sys.modules)\n"
        f"assert not heavy, heavy\nassert {command[0] in ('tasks', 'methods')!r} or not light_only, light_only\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_help_answers_in_half_a_second_of_cpu_time() -> None:
    import resource

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert epishot("--help").returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert spent < 0.5, f"{spent:.2f} s"


def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(tmp_path: Path) -> None:
    import signal

    arguments = ["run", "--task", "synthetic@cells=6,pairs=300", "--method", f"{FAULTY}:Sleepy", *GRID, "--jobs", "1"]
    command = [sys.executable, "-c", "from epishot.benchmark.cli import main; main()", *arguments]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell starts background jobs with Ctrl-C ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("runs/records/*/*.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    # As a terminal does it: to the whole group, children included.
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "the same command goes on" in err
    assert "Traceback" not in err
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/records/*/*.json")}
    assert 2 <= len(kept) < 12
    assert f"{len(kept)} of 12 runs" in err
    assert not list(tmp_path.glob("runs/**/*.partial"))
    done = epishot(*arguments)
    assert done.returncode == 0, done.stderr
    assert f"{12 - len(kept)} runs computed, {len(kept)} from the store" in done.stdout
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in kept.items())


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = f"{sys.executable} -c 'from epishot.benchmark.cli import main; main()' tasks | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
