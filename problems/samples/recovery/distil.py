"""A small network trained on the rows that stay, with the teacher in its loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from emoprune.contracts import about
from emoprune.errors import ConfigError
from emoprune.problems.samples.measured import DATA_PRUNING
from emoprune.problems.samples.recovery.contract import Case, FloatArray, Trained

__all__ = ["Distil"]

BATCH = 32
SMALLEST = 1e-6  # of a teacher's probability, so that its logarithm is finite


@about(
    "recovery",
    ["rows"],
    serves=["samples"],
    cost="training on the rows that stay",
    papers=[DATA_PRUNING],
    gradients=True,
    training=True,
)
@dataclass(frozen=True, slots=True)
class Distil:
    """Train a network of one hidden layer: (1 - a) cross entropy + a T² KL from the teacher, a as the genome has it.

    Args:
        hidden: Neurons of the hidden layer.
        epochs: Over the rows that stay.
        rate: Of Adam.
        temperature: T, by which both sides are softened.

    Raises:
        ConfigError: One of them is not above zero.
    """

    hidden: int = 64
    epochs: int = 40
    rate: float = 3e-3
    temperature: float = 4.0

    def __post_init__(self) -> None:
        wrong = [name for name in ("hidden", "epochs", "rate", "temperature") if getattr(self, name) <= 0]
        if wrong:
            raise ConfigError(f"distil: {wrong[0]}: expected a number above 0, found {getattr(self, wrong[0])}")

    def __call__(self, case: Case) -> Trained:
        """Return the trained network."""
        drawn = torch.Generator().manual_seed(case.seed % 2**31)
        inputs, labels = torch.from_numpy(case.features).float(), torch.from_numpy(case.labels)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(case.seed % 2**31)
            net = nn.Sequential(
                nn.Linear(inputs.shape[1], self.hidden), nn.ReLU(), nn.Linear(self.hidden, case.classes)
            )
        taught = None
        if case.taught is not None and case.share > 0:
            logits = torch.log(torch.from_numpy(np.maximum(case.taught, SMALLEST)).float())
            taught = torch.softmax(logits / self.temperature, dim=1)
        optimiser = torch.optim.Adam(net.parameters(), lr=self.rate)
        for _ in range(self.epochs):
            for rows in torch.randperm(len(labels), generator=drawn).split(BATCH):  # type: ignore[no-untyped-call]  # torch leaves it so
                optimiser.zero_grad()
                scores = net(inputs[rows])
                loss = (1 - case.share) * nn.functional.cross_entropy(scores, labels[rows])
                if taught is not None:
                    soft = torch.log_softmax(scores / self.temperature, dim=1)
                    away = nn.functional.kl_div(soft, taught[rows], reduction="batchmean")
                    loss = loss + case.share * self.temperature**2 * away
                loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it so
                optimiser.step()

        def student(features: FloatArray) -> FloatArray:
            with torch.no_grad():
                return torch.softmax(net(torch.from_numpy(features).float()), dim=1).double().numpy()

        return Trained(student, {name: own.detach().numpy() for name, own in net.state_dict().items()})
