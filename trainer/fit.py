"""The one training loop: read ``fit`` top to bottom and you know how every model here is trained.

Data lies whole in memory and batches are taken by index. Every pass is seeded by (seed, pass), so a
run that was killed and resumed follows the curve of one that was not. What is validated, chosen and
exported are the averaged weights (EMA) when the recipe asks for them. On several devices every
process runs this loop on its share of each batch (trainer/devices.py).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from lightning.fabric import Fabric
from rich.console import Console
from torch import Tensor, nn

from edge_app.errors import TrainingError
from trainer import devices, metrics
from trainer.batch_statistics import measure_statistics
from trainer.ema import Ema
from trainer.experiment import Split
from trainer.finite import Step, check_finite
from trainer.learning_curve import Row, ended
from trainer.losses import cross_entropy
from trainer.progress import PassProgress
from trainer.recipe import FitOptions, Recipe
from trainer.run_dir import RunDir
from trainer.schedules import learning_rate

EVALUATION_BATCH = 512


def fit(
    recipe: Recipe,
    train: Split,
    validation: Split | None,
    run: RunDir,
    console: Console,
    *,
    fabric: Fabric | None = None,
    max_minutes: float = math.inf,
) -> list[Row]:
    """Train by the recipe, leave checkpoints, log and curve in ``run``.

    Args:
        recipe: what to train and how.
        train: what to learn from.
        validation: what chooses the best pass; nothing is learnt from it. None: the last pass is
            taken.
        run: where everything goes; a checkpoint there is continued from.
        console: where progress is shown.
        fabric: the devices; None: one. Of several processes the first writes.
        max_minutes: no pass but the first is begun after so long; a resume has as long again.

    Returns:
        One row a pass, also those of the run before a resume.

    Raises:
        TrainingError: the loss is not finite, or a batch too small to be shared by the devices.
    """
    options, experiment = recipe.fit, recipe.experiment
    refuse_blind_plateau(options, validation)
    fabric = fabric or devices.start(1, options.precision)
    torch.manual_seed(recipe.seed)
    bare_model = experiment.build_model()
    if not run.has_checkpoint():
        experiment.start(bare_model)
    n_parameters = sum(parameter.numel() for parameter in bare_model.parameters())
    console.print(f"{type(bare_model).__name__}: {n_parameters:,} parameters", highlight=False)
    if options.channels_last:
        bare_model = bare_model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model, optimizer = fabric.setup(bare_model, build_optimizer(bare_model, options))
    ema = Ema(bare_model, options.ema_decay)
    scaler = fabric.strategy.precision
    train = replace(
        train,
        inputs=tuple(fabric.to_device(tensor) for tensor in train.inputs),
        targets=fabric.to_device(train.targets),
    )
    steps = steps_of_pass(len(train.targets), options)
    devices.refuse_small_batches(len(train.targets), options.batch, fabric.world_size)
    rows: list[Row] = []
    if run.has_checkpoint():
        rows = run.load_last(bare_model, optimizer, ema, scaler)
    before = len(rows)

    with PassProgress(console, options.passes, steps, rows) as progress:
        while not ended(rows, options.passes, options.patience, options.select_by):
            if len(rows) > before and minutes(rows[before:]) >= max_minutes:
                console.print(f"stopped after {max_minutes:g} minutes: --resume goes on")
                break
            index = len(rows)
            started_s = time.monotonic()
            seeds = pass_seeds(recipe.seed, index)
            torch.manual_seed(seeds.model + fabric.global_rank)
            augmentation = torch.Generator(device=fabric.device)
            augmentation.manual_seed(seeds.augmentation + fabric.global_rank)
            loss_sum = 0.0

            model.train()
            experiment.begin_pass(index, options.passes)
            batches = batches_of_pass(len(train.targets), options, recipe.seed, index)
            for step, whole_batch in enumerate(batches):
                batch = devices.share(whole_batch, fabric)
                lr = learning_rate(index + step / steps, options, rows)
                for group in optimizer.param_groups:
                    group["lr"] = lr
                batch_inputs, batch_targets = experiment.augment(
                    train.batch(batch), train.targets[batch], augmentation
                )
                logits = model(*to_layout(batch_inputs, options))
                loss = experiment.loss(model, logits, batch_targets, options.label_smoothing)
                mean_loss = devices.mean_over_devices(loss, fabric)
                now = Step(index, step, lr, batch, batch_inputs, batch_targets, loss)
                check_finite(mean_loss, now, run.path)
                fabric.backward(loss)
                if options.clip_norm is not None:
                    fabric.clip_gradients(model, optimizer, max_norm=options.clip_norm)
                optimizer.step()
                optimizer.zero_grad()
                ema.update()
                loss_sum += mean_loss
                progress.step(loss_sum / (step + 1))

            figures = NOT_VALIDATED
            with ema.averaged():
                if options.statistics_from:
                    measure_statistics(model, plain_batches(train, options))
                if validation is not None:
                    figures = evaluate_pass(model, validation, options)
            row = Row(
                index=index,
                learning_rate=lr,
                train_loss=loss_sum / steps,
                validation_loss=figures.loss,
                accuracy=figures.accuracy,
                macro_f1=figures.macro_f1,
                seconds=time.monotonic() - started_s,
            )
            rows.append(fabric.broadcast(row))
            if fabric.is_global_zero:
                run.save_pass(rows, options, bare_model, optimizer, ema, scaler)
            progress.row(row)
    if fabric.is_global_zero and len(rows) > before:
        run.draw_curve(rows)
    return rows


def minutes(rows: list[Row]) -> float:
    """Return how long some passes took."""
    return sum(row.seconds for row in rows) / 60.0


def refuse_blind_plateau(options: FitOptions, validation: Split | None) -> None:
    """Refuse a schedule that looks at validation where there is none.

    Args:
        options: the schedule.
        validation: the split, or None.

    Raises:
        TrainingError: the schedule is ``plateau`` and there is nothing to validate on.
    """
    if options.schedule == "plateau" and validation is None:
        raise TrainingError(
            "the rate cannot follow validation: nothing is validated here",
            source="fit.schedule: plateau",
            next_step="Choose cosine, cosine_restarts or constant",
        )


def steps_of_pass(n: int, options: FitOptions) -> int:
    """Return how many batches a pass of ``n`` examples has."""
    return options.steps_per_pass or math.ceil(n / options.batch)


def batches_of_pass(n: int, options: FitOptions, seed: int, index: int) -> Iterator[Tensor]:
    """Yield the rows of each batch of a pass, the same whether or not the run was interrupted.

    Every example comes once before one comes again, also where a pass is not the whole split.

    Args:
        n: examples.
        options: batch and steps a pass.
        seed: the recipe's.
        index: the pass, from 0.

    Yields:
        Row numbers.
    """
    whole = math.ceil(n / options.batch)
    steps = steps_of_pass(n, options)
    shuffle = -1
    batches: tuple[Tensor, ...] = ()
    for step in range(index * steps, (index + 1) * steps):
        if step // whole != shuffle:
            shuffle = step // whole
            order = torch.Generator().manual_seed(pass_seeds(seed, shuffle).order)
            batches = torch.tensor_split(torch.randperm(n, generator=order), whole)
        yield batches[step % whole]


@dataclass(frozen=True, slots=True)
class PassSeeds:
    """Independent seeds of one pass."""

    order: int
    augmentation: int
    model: int


def pass_seeds(seed: int, index: int) -> PassSeeds:
    """Return the seeds of pass ``index``, the same whether or not the run was interrupted."""
    order, augmentation, model = np.random.SeedSequence((seed, index)).generate_state(3)
    return PassSeeds(int(order), int(augmentation), int(model))


def build_optimizer(model: nn.Module, options: FitOptions) -> torch.optim.Optimizer:
    """Return the optimiser that the recipe names."""
    parameters, lr, decay = model.parameters(), options.learning_rate, options.weight_decay
    if options.optimiser == "sgd":
        return torch.optim.SGD(parameters, lr, momentum=0.9, nesterov=True, weight_decay=decay)
    if options.optimiser == "adam":
        return torch.optim.Adam(parameters, lr, weight_decay=decay)
    return torch.optim.AdamW(parameters, lr, weight_decay=decay)


def to_layout(inputs: tuple[Tensor, ...], options: FitOptions) -> tuple[Tensor, ...]:
    """Return pictures in the recipe's memory order, anything else as it is."""
    if not options.channels_last:
        return inputs
    return tuple(
        tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
        for tensor in inputs
    )


def plain_batches(split: Split, options: FitOptions) -> Iterator[tuple[Tensor, ...]]:
    """Yield examples as they are, drawn from all of the split: neighbours there may be alike.

    Args:
        split: what is learnt from.
        options: ``statistics_from``, how many, always the same; batch and memory order.

    Yields:
        Inputs of the model.
    """
    drawn = torch.randperm(len(split.targets), generator=torch.Generator().manual_seed(0))
    chosen = drawn[: options.statistics_from]
    for rows in torch.tensor_split(chosen, math.ceil(len(chosen) / options.batch)):
        yield to_layout(split.batch(rows), options)


@dataclass(frozen=True, slots=True)
class PassFigures:
    """What validation says after one pass."""

    loss: float | None
    accuracy: float | None
    macro_f1: float | None


NOT_VALIDATED = PassFigures(None, None, None)


def evaluate_pass(model: nn.Module, split: Split, options: FitOptions) -> PassFigures:
    """Return loss and scores of ``model`` on ``split``, without augmentation or smoothing.

    Args:
        model: the averaged weights.
        split: what to score.
        options: the memory order.

    Returns:
        The figures that choose the best pass.

    Raises:
        TrainingError: the loss is not finite.
    """
    logits = predict_logits(model, split, options)
    loss = cross_entropy(logits, split.targets).item()
    if not math.isfinite(loss):
        raise TrainingError(
            f"the loss on {split.name} is {loss}",
            expected="a finite number",
            next_step="Look for NaN in the validation data; else lower fit.learning_rate. The last"
            " whole pass is kept",
        )
    scores = metrics.score(split.targets.numpy(), torch.softmax(logits, dim=-1).numpy())
    return PassFigures(loss=loss, accuracy=scores.accuracy, macro_f1=scores.macro_f1)


def predict_logits(model: nn.Module, split: Split, options: FitOptions) -> Tensor:
    """Return the float32 logits of every example of ``split``, on the CPU."""
    device = next(model.parameters()).device
    model.eval()
    parts = []
    with torch.no_grad():
        for start in range(0, len(split.targets), EVALUATION_BATCH):
            rows = split.batch(slice(start, start + EVALUATION_BATCH))
            batch = tuple(tensor.to(device) for tensor in rows)
            parts.append(model(*to_layout(batch, options)).float().cpu())
    return torch.cat(parts)
