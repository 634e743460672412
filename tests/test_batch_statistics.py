"""Batch normalisation measured anew: what is validated and exported knows examples as they are."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from torch import Tensor, nn  # noqa: E402

from tests.test_trainer_fit import recipe, run, without_time  # noqa: E402
from tests.toy_experiment import FEATURES, LABELS, ToyExperiment, ToyOptions  # noqa: E402
from trainer.batch_statistics import measure_statistics  # noqa: E402
from trainer.experiment import Split  # noqa: E402
from trainer.fit import plain_batches  # noqa: E402
from trainer.run_dir import RunDir  # noqa: E402

AWAY = 50.0


class ShiftedExperiment(ToyExperiment):
    """Augmentation moves every input far away; the first layer normalises."""

    def build_model(self) -> nn.Module:
        return nn.Sequential(nn.BatchNorm1d(FEATURES), nn.Linear(FEATURES, len(LABELS)))

    def augment(
        self, inputs: tuple[Tensor, ...], targets: Tensor, generator: torch.Generator
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        (noisy,), targets = super().augment(inputs, targets, generator)
        return (noisy + AWAY,), targets


def shifted(interrupt_in_call: int = 0, **fit_options: object):  # type: ignore[no-untyped-def]
    made = recipe(passes=3, **fit_options)
    options = ToyOptions(interrupt_in_call=interrupt_in_call)
    return dataclasses.replace(made, experiment=ShiftedExperiment(options))


def test_the_statistics_are_the_mean_over_the_batches() -> None:
    drawn = np.random.default_rng(5).normal(3.0, 2.0, (2, 40, 4)).astype(np.float32)
    layer = nn.BatchNorm1d(4, momentum=0.3)
    model = nn.Sequential(layer, nn.Dropout(0.5), nn.BatchNorm1d(4))
    measure_statistics(model, iter([(torch.from_numpy(batch),) for batch in drawn]))
    np.testing.assert_allclose(layer.running_mean, drawn.mean(axis=(0, 1)), rtol=1e-5)
    variances = drawn.var(axis=1, ddof=1).mean(axis=0)
    np.testing.assert_allclose(layer.running_var, variances, rtol=1e-5)
    assert layer.momentum == 0.3
    assert not any(part.training for part in model.modules())
    # nothing was dropped in between: the second layer met what the first one made, mean 0
    np.testing.assert_allclose(model[2].running_mean, np.zeros(4), atol=1e-6)
    np.testing.assert_allclose(model[2].running_var, np.full(4, 40 / 39), rtol=1e-4)


def test_a_model_without_batch_normalisation_stays_as_it_is() -> None:
    model = nn.Linear(3, 2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    measure_statistics(model, iter([(torch.ones(4, 3),)]))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_what_is_exported_was_measured_on_examples_as_they_are(tmp_path: Path) -> None:
    run(shifted(), tmp_path / "as it ran")
    rows = run(shifted(statistics_from=600), tmp_path / "anew")
    mean = RunDir(tmp_path / "as it ran").load_best().weights["0.running_mean"]
    assert float(mean.min()) > AWAY / 2
    train, _ = ToyExperiment(ToyOptions()).load(tmp_path)
    best = RunDir(tmp_path / "anew").load_best().weights
    np.testing.assert_allclose(best["0.running_mean"], train.inputs[0].mean(dim=0), atol=0.01)
    assert rows[-1].accuracy > 0.9
    trained = torch.load(tmp_path / "anew" / "last.pt", weights_only=False)["model"]
    assert float(trained["0.running_mean"].min()) > AWAY / 2  # training goes on with its own


def test_a_run_that_was_cut_goes_on_alike(tmp_path: Path) -> None:
    whole = run(shifted(statistics_from=100), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(shifted(interrupt_in_call=25, statistics_from=100), tmp_path / "cut")
    resumed = run(shifted(statistics_from=100), tmp_path / "cut", resume=True)
    assert without_time(resumed) == without_time(whole)


def test_the_examples_are_drawn_from_all_of_a_sorted_split() -> None:
    n = 1000  # one class after the other, as folders of classes are read
    split = Split(
        (torch.arange(n).float()[:, None],), torch.arange(n) // 200, np.full(n, "a"), "sorted"
    )
    options = recipe(statistics_from=200, batch=50).fit
    batches = [batch.flatten().numpy() for (batch,) in plain_batches(split, options)]
    assert [len(batch) for batch in batches] == [50] * 4
    assert len(np.unique(np.concatenate(batches))) == 200
    for batch in batches:
        assert set(np.unique(batch // 200)) == {0, 1, 2, 3, 4}
