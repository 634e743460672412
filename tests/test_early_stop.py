"""Patience: a run ends after so many passes without a better figure, also when resumed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from rich.console import Console  # noqa: E402

from tests.toy_experiment import ToyExperiment, ToyOptions  # noqa: E402
from trainer.fit import fit  # noqa: E402
from trainer.learning_curve import Row, ended  # noqa: E402
from trainer.provenance import Provenance  # noqa: E402
from trainer.recipe import FitOptions, Recipe  # noqa: E402
from trainer.run_dir import RunDir  # noqa: E402

WHENCE = Provenance("toy", "trainer fit", "none", "none", "none", "2026-01-01")


def rows(losses: list[float], accuracies: list[float] | None = None) -> list[Row]:
    given = accuracies or [0.5] * len(losses)
    return [
        Row(i, 0.1, 1.0, loss, accuracy, accuracy, 1.0)
        for i, (loss, accuracy) in enumerate(zip(losses, given, strict=True))
    ]


@pytest.mark.parametrize(
    ("losses", "patience", "over"),
    [
        ([], 2, False),
        ([1.0], 1, False),
        ([1.0, 1.1], 1, True),
        ([1.0, 1.0], 1, True),  # equal is not better
        ([1.0, 1.1, 0.9], 2, False),
        ([1.0, 1.1, 1.2], 2, True),
        ([1.0, 0.9, 1.1, 1.0], 2, True),
        ([1.0, 0.9, 1.1], 2, False),
        ([1.0, 1.1, 1.2, 1.3], None, False),
        ([1.0] * 10, None, True),
        ([1.0 - 0.1 * i for i in range(10)], 3, True),
    ],
)
def test_when_a_run_of_ten_passes_is_over(
    losses: list[float], patience: int | None, over: bool
) -> None:
    assert ended(rows(losses), 10, patience, "loss") == over


def test_the_figure_that_chooses_is_the_one_waited_for() -> None:
    curve = rows([0.9, 0.8, 0.7], [0.6, 0.5, 0.4])
    assert ended(curve, 10, 2, "accuracy")
    assert not ended(curve, 10, 2, "loss")


def run(path: Path, *, interrupt_in_call: int = 0, resume: bool = False) -> list[Row]:
    """A quick rate: the accuracy soon stops to rise."""
    made = Recipe(
        name="toy",
        task="emotion",
        method=None,
        seed=3,
        fit=FitOptions(
            passes=40, batch=32, learning_rate=0.2, ema_decay=None, select_by="accuracy", patience=3
        ),
        experiment=ToyExperiment(ToyOptions(interrupt_in_call=interrupt_in_call)),
    )
    folder = RunDir(path)
    folder.create("the same", WHENCE, resume=resume)
    train, validation = made.experiment.load(path)
    return fit(made, train, validation, folder, Console(quiet=True))


def test_a_run_stops_early_and_resumes_to_the_same_end(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    best = max(whole, key=lambda row: row.accuracy)
    assert len(whole) < 40
    assert whole[-1].index - best.index == 3
    assert RunDir(tmp_path / "whole").load_best().row.index == best.index
    assert (tmp_path / "whole" / "curve.png").is_file()
    assert run(tmp_path / "whole", resume=True) == whole  # it is over and stays so

    steps = 19  # 600 examples by 32
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", interrupt_in_call=best.index * steps + 5)
    resumed = run(tmp_path / "cut", resume=True)
    without_time = [[dataclasses.replace(row, seconds=0.0) for row in r] for r in (whole, resumed)]
    assert without_time[0] == without_time[1]
