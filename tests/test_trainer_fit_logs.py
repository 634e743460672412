"""What a run shows and writes beside its checkpoints: the time left, TensorBoard."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from rich.console import Console  # noqa: E402

from edge_app.errors import TrainingError  # noqa: E402
from trainer.learning_curve import Row  # noqa: E402
from trainer.progress import PassProgress  # noqa: E402
from trainer.tensorboard_log import TensorBoardLog  # noqa: E402


def row(index: int, seconds: float, loss: float | None = 0.5) -> Row:
    return Row(index, 0.1, 1.0, loss, loss, loss, seconds)


class Clock:
    """Seconds that the test sets."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def bar(clock: Clock, rows: list[Row], out: io.StringIO | None = None) -> PassProgress:
    console = Console(file=out or io.StringIO(), width=120, force_terminal=True)
    return PassProgress(console, passes=10, steps=4, rows=rows, clock=clock)


def test_the_time_left_counts_validation_once_a_pass_is_over() -> None:
    clock = Clock()
    progress = bar(clock, [])
    assert progress.left_s() is None  # nothing is known yet
    clock.now_s += 2.0
    progress.step(1.0)  # 2 s of 4 steps: 8 s a pass, of ten
    assert progress.left_s() == pytest.approx(10 * 8.0 - 2.0)
    for _ in range(3):
        clock.now_s += 2.0
        progress.step(1.0)
    clock.now_s += 12.0  # validation: 20 s a pass in all
    progress.row(row(0, 20.0))
    assert progress.left_s() == pytest.approx(9 * 20.0)
    clock.now_s += 5.0
    assert progress.left_s() == pytest.approx(9 * 20.0 - 5.0)
    clock.now_s += 60.0  # a pass that takes longer than the last one is about to end
    assert progress.left_s() == pytest.approx(8 * 20.0)


def test_a_resumed_run_knows_the_time_left_at_once() -> None:
    assert bar(Clock(), [row(0, 20.0), row(1, 30.0)]).left_s() == pytest.approx(8 * 30.0)


def test_the_bar_shows_hours() -> None:
    clock, out = Clock(), io.StringIO()
    with bar(clock, [row(0, 1000.0)], out) as progress:
        clock.now_s += 1.0
        progress.step(1.0)
    assert "left 2:29:59" in out.getvalue()


def scalars(folder: Path) -> Iterator[tuple[str, int, float]]:
    loading = pytest.importorskip(
        "tensorboard.backend.event_processing.event_file_loader", reason="needs tensorboard"
    )
    for path in sorted(folder.glob("events.*")):
        for event in loading.EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                yield value.tag, event.step, value.tensor.float_val[0]


def test_tensorboard_gets_every_pass_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs tensorboard")
    log = TensorBoardLog(tmp_path / "board")
    assert not (tmp_path / "board").exists()  # a run that is refused leaves nothing
    log.write(row(0, 2.0))
    log.write(row(1, 3.0, None))  # not validated
    found = list(scalars(tmp_path / "board"))
    assert [(tag, step) for tag, step, _ in found if tag == "train_loss"] == [
        ("train_loss", 1),
        ("train_loss", 2),
    ]
    assert [step for tag, step, _ in found if tag == "accuracy"] == [1]
    assert ("seconds", 2, pytest.approx(3.0)) in found


def test_without_tensorboard_the_flag_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(TrainingError, match="pip install tensorboard"):
        TensorBoardLog(tmp_path)
