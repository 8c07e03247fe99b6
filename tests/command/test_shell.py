"""Exit statuses, one line for what went wrong, and clean output."""

from __future__ import annotations

import gzip
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

import torchglm
from torchglm.command import commands, tables
from torchglm.command.main import main

ROOT = Path(__file__).resolve().parents[2]

FAILURES = [
    (["fit", "y ~ nothing", "data.csv"], "'nothing' is neither a column"),
    (["fit", "y ~ x", "none.csv"], "There is no file 'none.csv'."),
    (["fit", "y ~ x", "none.parquet"], "There is no file 'none.parquet'."),
    (["fit", "y ~ x", "empty.csv"], "'empty.csv' cannot be read as CSV"),
    (["fit", "y ~ x", "broken.csv"], "'broken.csv' cannot be read as CSV"),
    (["fit", "y ~ x", "folder.csv"], "'folder.csv' is a folder"),
    (["fit", "y ~ x", "data.csv", "--family", "poison"], "Did you mean 'poisson'"),
    (["fit", "y ~ x", "data.csv", "--family", "tweedie(powr=1)"], "no option 'powr'. Did you mean 'power'?"),
    (["fit", "y ~ x", "data.csv", "--family", "tweedie(power=x)"], "cannot be read"),
    (["fit", "y ~ x", "data.csv", "--family", "tweedie(**{'power': 1.5})"], "cannot be read"),
    (["fit", "y ~ x", "data.csv", "--cov", "HC9"], "'HC9'"),
    (["fit", "y ~ x", "data.csv", "--out", "no/folder/fit"], "There is no folder"),
    (["fit", "y ~ x", "data.csv", "--tidy", "table.xlsx"], "'table.xlsx': a table is written to"),
    (["fit", "y ~ x", ""], "data is an empty path"),
    (["fit", "y ~ x", "twice.csv"], "The data have 2 columns named 'x'. Rename them."),
    (["fit", "y ~ x", "data.csv.zst"], "'data.csv.zst' needs the package zstandard: pip install zstandard."),
    (["predict", "data.csv", "data.csv"], "'data.csv' is not a saved fit"),
    (["summary", "none.tglm"], "There is no file 'none.tglm'."),
]
USAGE = [
    [],
    ["fit"],
    ["fit", "y ~ x"],
    ["fit", "y ~ x", "data.csv", "--nonsense"],
    ["fit", "y ~ x", "data.csv", "--level", "95"],
    ["fit", "y ~ x", "data.csv", "--threads", "0"],
    ["fit", "y ~ x", "data.csv", "--model", "ordinal", "--family", "poisson"],
    ["fit", "y ~ x", "data.csv", "--out", "-"],
    ["fit", "y ~ x", "data.csv", "--tidy", "-", "--glance", "-"],
    ["fit", "y ~ x", "data.csv", "--memory-limit", "50 MB"],
    ["fit", "y ~ x", "data.csv", "--cache", "/tmp"],
    ["refit", "y ~ x", "data.csv"],
]


@pytest.fixture
def files(csv, tmp_path):
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "broken.csv").write_text('y,x\n1,2\n3,4,5,6\n"')
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "twice.csv").write_text("y,x,x,\n1,2,3,4\n2,4,1,0\n4,4,1,0\n")


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("arguments, message", FAILURES, ids=lambda value: " ".join(value)[-40:])
def test_a_failure_is_one_line_and_status_1(run, monkeypatch, arguments, message):
    monkeypatch.setattr(tables, "find_spec", lambda name: None)
    done = run(*arguments)
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("torchglm: error: ")
    assert done.err.count("\n") == 1
    assert message in done.err


@pytest.mark.usefixtures("files")
def test_the_traceback_is_shown_when_asked_for(run):
    done = run("fit", "y ~ nothing", "data.csv", "-v")
    assert done.status == 1
    assert "Traceback (most recent call last)" in done.err
    assert done.err.splitlines()[-1].startswith("torchglm: error: 'nothing' is neither")


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("arguments", USAGE, ids=" ".join)
def test_wrong_usage_is_status_2(run, arguments):
    done = run(*arguments)
    assert (done.status, done.out) == (2, "")
    assert done.err.splitlines()[-1].startswith("torchglm")


def test_help_and_version(run):
    done = run("--version")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"torchglm {torchglm.__version__} ")
    assert "A formula, and an expression in place of a column, is code" in run("--help").out
    assert "FORMULA is code" in run("fit", "--help").out


def test_a_warning_is_one_line_of_standard_error(run, tmp_path):
    pd.DataFrame({"y": [0, 0, 1, 1], "x": [1.0, 2.0, 3.0, 4.0]}).to_csv(tmp_path / "separated.csv", index=False)
    done = run("fit", "y ~ x", "separated.csv", "--family", "binomial")
    assert done.status == 0
    assert done.err.startswith("torchglm: warning: Separation: ")
    assert done.err.count("\n") == 1
    assert "Traceback" not in done.err
    strict = run("fit", "y ~ x", "separated.csv", "--family", "binomial", "--strict", "--out", "fit.tglm")
    assert (strict.status, strict.out) == (1, done.out)
    assert Path("fit.tglm").exists()


def test_nothing_is_left_of_a_table_that_cannot_be_written(run, csv, tmp_path, monkeypatch):
    def full(self, *arguments, **options):
        raise OSError(28, "No space left on device")

    (tmp_path / "old.csv").write_text("kept")
    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    done = run("fit", "y ~ x", csv, "--tidy", "old.csv", "--summary", "none")
    assert (done.status, done.err) == (1, "torchglm: error: [Errno 28] No space left on device\n")
    assert (tmp_path / "old.csv").read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.csv", "old.csv"]


@pytest.mark.parametrize("error, status", [(KeyboardInterrupt, 130), (MemoryError, 1)])
def test_interrupts(run, csv, monkeypatch, error, status):
    def stopped(*_: object) -> None:
        raise error

    monkeypatch.setattr(commands, "_without_variables", stopped)
    done = run("fit", "y ~ x", csv)
    assert (done.status, done.out) == (status, "")
    assert done.err.count("\n") == 1


def test_other_ranks_say_and_write_nothing(run, csv, tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "several_processes", lambda: (1, 2))
    assert run("fit", "y ~ x", csv, "--out", "fit.tglm").out == ""
    assert not (tmp_path / "fit.tglm").exists()


def test_a_program_of_its_own(csv, tmp_path):
    """Broken pipes are quiet and Ctrl-C ends with 130, in a real shell."""
    program = [sys.executable, "-m", "torchglm", "fit"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    piped = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m torchglm fit 'y ~ x' data.csv | true; echo ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (piped.stdout, piped.stderr) == ("141\n", "")
    reader, writer = os.pipe()  # a data file that never ends
    waiting = subprocess.Popen(
        [*program, "y ~ x", "-"], cwd=tmp_path, env=environment, stdin=reader, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.write(writer, b"y,x\n1,2\n")
    while _is_importing(waiting.pid):
        time.sleep(0.05)
    waiting.send_signal(signal.SIGINT)
    out, err = waiting.communicate(timeout=60)
    os.close(writer)
    os.close(reader)
    assert (waiting.returncode, out, err) == (130, "", "torchglm: interrupted\n")


def _is_importing(process: int) -> bool:
    """Whether the program has not yet come to wait for its data."""
    return "pipe" not in Path(f"/proc/{process}/wchan").read_text()


@pytest.mark.slow
def test_torchrun(csv, frame, tmp_path):
    """Two processes give one summary, one file, and of an error one line."""
    frame.to_parquet(tmp_path / "data.parquet")
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "torchglm", "fit"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def launched(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*launch, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )

    for name in ("data.parquet", csv):
        done = launched("y ~ x + g", name, "--family", "poisson", "--out", "fit.tglm", "--tidy", "-")
        assert done.returncode == 0, done.stderr
        found = pd.read_csv(io.StringIO(done.stdout))
        expected = torchglm.glm("y ~ x + g", frame, "poisson").tidy(conf_int=True)
        pd.testing.assert_frame_equal(found, expected, rtol=1e-9)
        assert torchglm.load(tmp_path / "fit.tglm").params.to_numpy() == pytest.approx(expected["estimate"].to_numpy())
    failed = launched("y ~ nothing", "data.parquet")
    assert failed.returncode != 0
    assert failed.stdout == ""
    assert 1 <= failed.stderr.count("error: 'nothing' is neither a column") <= 2


@pytest.mark.parametrize(
    "content, message",
    [
        (
            gzip.compress(b"x,y\n1,2\n", mtime=0),
            "Standard input is compressed by gzip, not CSV: give the name of the file, or zcat",
        ),
        (b"PAR1\x15\x04", "Standard input is a Parquet file, not CSV: give its name"),
        (b"x,y\n\xff,2\n", "standard input cannot be read as CSV: 'utf-8' codec can't decode byte 0xff"),
    ],
)
def test_standard_input_that_is_no_text(run, monkeypatch, content, message):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    done = run("fit", "y ~ x", "-")
    assert done.status == 1
    assert message in done.err


def test_standard_input_is_for_one_process(run, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    done = run("fit", "y ~ x", "-")
    assert done.status == 1
    assert done.err.startswith("torchglm[1]: error: Standard input cannot be read by several processes")


def test_main_takes_the_arguments_of_the_process(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["torchglm", "--version"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith("torchglm ")
