"""Learning rates: by hand, beside torch's own schedulers, and the same after a resume."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from pydantic import ValidationError  # noqa: E402
from rich.console import Console  # noqa: E402

from edge_app.errors import TrainingError  # noqa: E402
from tests.toy_experiment import ToyExperiment, ToyOptions  # noqa: E402
from trainer.fit import fit  # noqa: E402
from trainer.learning_curve import Row  # noqa: E402
from trainer.provenance import Provenance  # noqa: E402
from trainer.recipe import FitOptions, Recipe  # noqa: E402
from trainer.run_dir import RunDir  # noqa: E402
from trainer.schedules import learning_rate  # noqa: E402

QUIET = Console(quiet=True)
WHENCE = Provenance("toy", "trainer fit", "none", "none", "none", "2026-01-01")


def options(**given: object) -> FitOptions:
    defaults = {"passes": 70, "batch": 32, "learning_rate": 0.4, "warmup_passes": 0}
    return FitOptions.model_validate(defaults | given)


def rows(losses: list[float]) -> list[Row]:
    return [Row(i, 0.1, 1.0, loss, 0.5, 0.5, 1.0) for i, loss in enumerate(losses)]


def optimizer(rate: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], rate)


def test_one_cosine_rises_then_falls_to_zero() -> None:
    made = options(passes=10, warmup_passes=2)
    assert learning_rate(1.0, made) == pytest.approx(0.2)
    assert learning_rate(2.0, made) == pytest.approx(0.4)
    assert learning_rate(6.0, made) == pytest.approx(0.2)
    assert learning_rate(10.0, made) == pytest.approx(0.0, abs=1e-12)
    assert learning_rate(0.0, made) > 0
    assert learning_rate(10.0, options(passes=10, min_learning_rate=0.01)) == pytest.approx(0.01)


def test_the_rate_may_stay_as_it_is() -> None:
    made = options(schedule="constant")
    assert {learning_rate(passes, made) for passes in (0.0, 3.3, 9.9)} == {0.4}


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_cosine_restarts_are_those_of_torch(factor: int) -> None:
    made = options(
        schedule="cosine_restarts",
        restart_passes=5,
        restart_factor=factor,
        min_learning_rate=0.001,
    )
    theirs = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(
        optimizer(0.4), T_0=5, T_mult=factor, eta_min=0.001
    )
    for quarter in range(4 * 70):
        theirs.step(quarter / 4)
        assert learning_rate(quarter / 4, made) == pytest.approx(theirs.get_last_lr()[0])


def test_restarts_begin_after_the_warm_up() -> None:
    made = options(schedule="cosine_restarts", restart_passes=4, warmup_passes=3)
    assert learning_rate(1.5, made) == pytest.approx(0.2)
    assert [learning_rate(p, made) for p in (3.0, 7.0, 15.0)] == pytest.approx([0.4] * 3)
    assert learning_rate(6.999, made) < 0.001


@pytest.mark.parametrize("seed", range(5))
def test_plateau_is_that_of_torch(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    losses = (torch.randint(1, 30, (60,), generator=generator) / 10).tolist()
    made = options(
        schedule="plateau",
        select_by="loss",
        plateau_passes=3,
        plateau_factor=0.5,
        min_learning_rate=0.01,
    )
    sgd = optimizer(0.4)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        sgd, factor=0.5, patience=2, threshold=0.0, min_lr=0.01, eps=0.0
    )
    for n, loss in enumerate(losses):
        theirs.step(loss)
        rate = learning_rate(n + 1, made, rows(losses[: n + 1]))
        assert rate == pytest.approx(sgd.param_groups[0]["lr"])
    assert rate == pytest.approx(0.01)  # sixty passes without order end at the least rate


def test_plateau_follows_the_figure_that_selects() -> None:
    curve = [
        Row(i, 0.1, 1.0, loss, accuracy, 0.5, 1.0)
        for i, (loss, accuracy) in enumerate([(0.9, 0.5), (0.8, 0.5), (0.7, 0.5)])
    ]
    by = {
        name: learning_rate(3, options(schedule="plateau", plateau_passes=2, select_by=name), curve)
        for name in ("loss", "accuracy")
    }
    assert by == {"loss": 0.4, "accuracy": 0.2}


@pytest.mark.parametrize("schedule", ["cosine_restarts", "plateau"])
def test_a_cut_run_resumes_at_the_same_rates(tmp_path: Path, schedule: str) -> None:
    def run(path: Path, *, resume: bool = False, interrupt_in_call: int = 0) -> list[Row]:
        made = Recipe(
            name="toy",
            task="emotion",
            method=None,
            seed=3,
            fit=options(passes=8, schedule=schedule, restart_passes=2, plateau_passes=1),
            experiment=ToyExperiment(ToyOptions(interrupt_in_call=interrupt_in_call)),
        )
        folder = RunDir(path)
        folder.create("the same", WHENCE, resume=resume)
        return fit(made, *made.experiment.load(path), folder, QUIET)

    whole = run(tmp_path / "whole")
    assert len({row.learning_rate for row in whole}) > 2
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", interrupt_in_call=5 * 19 + 3)
    resumed = run(tmp_path / "cut", resume=True)
    same = [[dataclasses.replace(row, seconds=0.0) for row in r] for r in (whole, resumed)]
    assert same[0] == same[1]


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="above learning_rate"):
        options(min_learning_rate=0.5)
    experiment = ToyExperiment(ToyOptions())
    blind = Recipe("toy", "emotion", None, 3, options(schedule="plateau"), experiment)
    train, _ = experiment.load(tmp_path)
    with pytest.raises(TrainingError, match="nothing is validated"):
        fit(blind, train, None, RunDir(tmp_path), QUIET)
