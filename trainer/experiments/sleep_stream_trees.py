"""Growing the trees of a streamed stager on the nights learnt from."""

from __future__ import annotations

import torch

from trainer.experiment import Split
from trainer.experiments.sleep_stream_nights import another_amplifier, without
from trainer.experiments.sleep_stream_options import SleepStreamOptions
from trainer.features.causal_levels import CausalLevels
from trainer.metrics import IGNORE
from trainer.models.sleep_trees import SleepTrees


def grow_on_nights(
    trees: SleepTrees,
    levels: CausalLevels,
    learn: Split,
    options: SleepStreamOptions,
    seed: int,
) -> None:
    """Grow trees on copies of the nights, each heard through an amplifier of its own.

    Args:
        trees: not grown yet.
        levels: standardised by the same nights.
        learn: padded nights.
        options: the recipe's.
        seed: of all draws.
    """
    generator = torch.Generator().manual_seed(seed)
    stages = learn.targets[:, :, 0]
    scored = stages != IGNORE
    seen = []
    for _ in range(options.trees.copies):
        copy = another_amplifier(
            learn.inputs[0],
            generator,
            gain_db=options.gain_db,
            tilt_db=options.tilt_db,
            slow_probability=options.slow_probability,
        )
        copy = without(
            copy,
            generator,
            epoch_probability=options.drop_probability,
            psd_probability=options.trees.psd_probability,
        )
        seen.append(trees.inputs(levels(copy))[scored])
    trees.trees.grow(
        torch.cat(seen).numpy(),
        stages[scored].repeat(options.trees.copies).numpy(),
        learning_rate=options.trees.learning_rate,
        min_leaf=options.trees.min_leaf * options.trees.copies,
        l2=options.trees.l2,
        feature_share=options.trees.feature_share,
        seed=seed,
    )
