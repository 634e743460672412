"""The one training loop: read ``fit`` top to bottom and you know how every model here is trained.

Data lies whole in memory and batches are taken by index. Every pass is seeded by (seed, pass), so a
run that was killed and resumed follows the curve of one that was not. What is validated, chosen and
exported are the averaged weights (EMA) when the recipe asks for them.
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
from trainer import metrics
from trainer.ema import Ema
from trainer.experiment import Split
from trainer.learning_curve import Row, ended
from trainer.losses import cross_entropy
from trainer.progress import PassProgress
from trainer.recipe import FitOptions, Recipe
from trainer.run_dir import RunDir

EVALUATION_BATCH = 512


def fit(
    recipe: Recipe, train: Split, validation: Split | None, run: RunDir, console: Console
) -> list[Row]:
    """Train by the recipe, leave checkpoints, log and curve in ``run``.

    Args:
        recipe: what to train and how.
        train: what to learn from.
        validation: what chooses the best pass; nothing is learnt from it. None: the last pass is
            taken.
        run: where everything goes; a checkpoint there is continued from.
        console: where progress is shown.

    Returns:
        One row a pass, also those of the run before a resume.

    Raises:
        TrainingError: the loss is not finite.
    """
    options, experiment = recipe.fit, recipe.experiment
    fabric = Fabric(accelerator="auto", devices=1, precision=options.precision)
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
    train = replace(
        train,
        inputs=tuple(fabric.to_device(tensor) for tensor in train.inputs),
        targets=fabric.to_device(train.targets),
    )
    steps = steps_of_pass(len(train.targets), options)
    rows: list[Row] = []
    if run.has_checkpoint():
        rows = run.load_last(bare_model, optimizer, ema)

    with PassProgress(console, options.passes, steps, done=len(rows)) as progress:
        while not ended(rows, options.passes, options.patience, options.select_by):
            index = len(rows)
            started_s = time.monotonic()
            seeds = pass_seeds(recipe.seed, index)
            torch.manual_seed(seeds.model)
            augmentation = torch.Generator(device=fabric.device).manual_seed(seeds.augmentation)
            loss_sum = 0.0

            model.train()
            experiment.begin_pass(index, options.passes)
            batches = batches_of_pass(len(train.targets), options, recipe.seed, index)
            for step, batch in enumerate(batches):
                lr = learning_rate(index + step / steps, options)
                for group in optimizer.param_groups:
                    group["lr"] = lr
                batch_inputs, batch_targets = experiment.augment(
                    train.batch(batch), train.targets[batch], augmentation
                )
                logits = model(*to_layout(batch_inputs, options))
                loss = experiment.loss(model, logits, batch_targets, options.label_smoothing)
                check_finite(loss, index, step, lr)
                fabric.backward(loss)
                if options.clip_norm is not None:
                    fabric.clip_gradients(model, optimizer, max_norm=options.clip_norm)
                optimizer.step()
                optimizer.zero_grad()
                ema.update()
                loss_sum += loss.item()
                progress.step(loss_sum / (step + 1))

            figures = NOT_VALIDATED
            if validation is not None:
                with ema.averaged():
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
            rows.append(row)
            run.save_pass(rows, options, bare_model, optimizer, ema)
            progress.row(row)
    return rows


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


def learning_rate(passes_done: float, options: FitOptions) -> float:
    """Return the rate: a linear rise over the warm-up, then half a cosine down to zero, or none."""
    warmup = min(options.warmup_passes, options.passes / 2)
    if passes_done < warmup:
        return options.learning_rate * max(passes_done / warmup, 0.01)
    if options.schedule == "constant":
        return options.learning_rate
    share = (passes_done - warmup) / (options.passes - warmup)
    return options.learning_rate * 0.5 * (1.0 + math.cos(math.pi * share))


def check_finite(loss: Tensor, index: int, step: int, lr: float) -> None:
    """Stop a run whose loss is no number.

    Args:
        loss: the step's loss.
        index: the pass, from 0.
        step: the step in the pass, from 0.
        lr: the learning rate of the step.

    Raises:
        TrainingError: the loss is NaN or infinite.
    """
    if not torch.isfinite(loss):
        raise TrainingError(
            f"the loss is {loss.item()}",
            source=f"pass {index + 1}, step {step + 1}, learning rate {lr:.3g}",
            expected="a finite number",
            next_step="Look for NaN in the data; else lower fit.learning_rate or set fit.clip_norm."
            " The last whole pass is kept: --resume continues from it",
        )


def to_layout(inputs: tuple[Tensor, ...], options: FitOptions) -> tuple[Tensor, ...]:
    """Return pictures in the recipe's memory order, anything else as it is."""
    if not options.channels_last:
        return inputs
    return tuple(
        tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
        for tensor in inputs
    )


@dataclass(frozen=True, slots=True)
class PassFigures:
    """What validation says after one pass."""

    loss: float | None
    accuracy: float | None
    macro_f1: float | None


NOT_VALIDATED = PassFigures(None, None, None)


def evaluate_pass(model: nn.Module, split: Split, options: FitOptions) -> PassFigures:
    """Return loss and scores of ``model`` on ``split``, without augmentation or smoothing."""
    logits = predict_logits(model, split, options)
    scores = metrics.score(split.targets.numpy(), torch.softmax(logits, dim=-1).numpy())
    loss = cross_entropy(logits, split.targets).item()
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
