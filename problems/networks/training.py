"""Training the unpruned network once: short, on the training part alone, and the same for the same seed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from emoprune.errors import ConfigError
from emoprune.problems.networks.data.images import LabelledImages

__all__ = ["one_thread", "seeded", "train"]

BATCH = 64
PEAK_RATE = 0.1


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw initial weights and dropout from `seed`, and leave torch's own generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread: sums over several come out differently with their number."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def train(network: nn.Module, part: LabelledImages, epochs: int, seed: int) -> None:
    """Train the network in place on cross-entropy: stochastic gradient descent, one rise and fall of the rate.

    Call it within `seeded` and `one_thread` to get the same weights for the same seed.

    Source of the schedule: Smith and Topin, Super-Convergence, arXiv 1708.07120.

    Raises:
        ConfigError: The loss is no longer finite.
    """
    if epochs == 0:
        return
    images, labels = torch.from_numpy(part.images.copy()), torch.from_numpy(part.labels.copy())
    optimiser = torch.optim.SGD(network.parameters(), lr=PEAK_RATE, momentum=0.9, weight_decay=5e-4, nesterov=True)
    steps = epochs * len(_batches(len(labels), torch.Generator()))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, total_steps=steps)
    order = torch.Generator().manual_seed(seed)
    network.train()
    for _ in range(epochs):
        for rows in _batches(len(labels), order):
            loss = nn.functional.cross_entropy(network(images[rows]), labels[rows])
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
    network.eval()
    if not torch.isfinite(loss):
        raise ConfigError(f"training diverged (loss {loss.item()}); give trained weights instead")


def _batches(count: int, order: torch.Generator) -> tuple[torch.Tensor, ...]:
    """Return shuffled rows in batches of equal size, give or take one: a last batch of one would break batch norm."""
    rows = torch.randperm(count, generator=order)
    return rows.tensor_split(max(1, round(count / BATCH)))
