"""Where a model trains: one device, or several that share every batch by torch.distributed.

Several are one process each: Fabric starts the others by running the same command again, unless
``torchrun`` started them all. Each learns from its share of a batch, gradients are averaged, and
only the first process writes and prints. Layers that look at a whole batch, such as batch norm, see
a process's share of it.
"""

from __future__ import annotations

import math
from typing import cast

from lightning.fabric import Fabric
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.fabric.utilities.rank_zero import rank_zero_only
from torch import Tensor

from edge_app.errors import TrainingError
from trainer.recipe import Precision


def is_first_process() -> bool:
    """Return whether this process is the one that writes and prints; True before ``start``."""
    return bool(getattr(rank_zero_only, "rank", 0) == 0)


def start(devices: int, precision: Precision) -> Fabric:
    """Return the devices to train on: GPUs where there are any, else processors.

    Args:
        devices: processes, each with a GPU of its own where there are any.
        precision: of the arithmetic.

    Returns:
        Ready to use; with several devices this call starts the other processes.

    Raises:
        TrainingError: there are not so many GPUs.
    """
    try:
        fabric = Fabric(accelerator="auto", devices=devices, precision=precision)
    except MisconfigurationException as error:
        raise TrainingError(
            f"cannot train on {devices} devices: {error}",
            source=f"--devices {devices}",
            next_step="Name no more devices than there are",
        ) from error
    if devices > 1:
        fabric.launch()
    return fabric


def share(batch: Tensor, fabric: Fabric) -> Tensor:
    """Return this process's rows of a batch; all of them where there is one process."""
    return batch[fabric.global_rank :: fabric.world_size]


def mean_over_devices(loss: Tensor, fabric: Fabric) -> float:
    """Return the mean of every process's loss; the loss itself where there is one process."""
    return cast(Tensor, fabric.all_reduce(loss.detach().clone())).item()


def refuse_small_batches(n: int, batch: int, devices: int) -> None:
    """Refuse batches that leave a device without an example.

    Args:
        n: training examples.
        batch: examples a step, on average.
        devices: that share a batch.

    Raises:
        TrainingError: the smallest batch has fewer examples than there are devices.
    """
    smallest = n // math.ceil(n / batch)
    if smallest < devices:
        raise TrainingError(
            "a batch is too small to be shared",
            source=f"--devices {devices}",
            expected=f"at least {devices} examples in every batch",
            got=smallest,
            next_step="Raise fit.batch, or name fewer devices",
        )
