"""Whether training recovers from wrong signs: those of some weights are flipped before it, and how it ends compared."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from emoprune.contracts import Audit, Cell, Finding, FloatArray, Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.compute.device import one_thread
from emoprune.problems.networks.channels.audits.contract import ChannelFront
from emoprune.problems.networks.channels.audits.trials import drawn_seed
from emoprune.problems.networks.evaluation.scoring import finite_outputs_of
from emoprune.problems.networks.recovery.copying import trainable
from emoprune.problems.networks.recovery.images import TrainingImages
from emoprune.problems.networks.recovery.loop import trained
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.statistics.intervals import bootstrapped
from emoprune.records import Split

__all__ = ["SignFlip", "changed_signs", "flipped"]


@about(
    "audit",
    ["channels", "weights"],
    serves=("channels",),
    papers=[Paper("Masks, Signs, And Learning Rate Rewinding", "2402.19262")],
    gradients=True,
    training=True,
    cost="a short training for each candidate, repeat and share of flipped signs",
)
@dataclass(frozen=True, slots=True, kw_only=True)
class SignFlip:
    """Flip the signs of a share of the weights that stay before training, and hold the errors against each other.

    Where flipped networks end as good as the others, training does not depend on the signs that it begins with. Source:
    Gadhikar and Burkholz, Masks, Signs, And Learning Rate Rewinding, arXiv 2402.19262.

    Args:
        shares: Of the weights whose signs are flipped; networks with none flipped are always trained beside them.
        epochs: How long each network is trained.
        repeats: How often, with other seeds.
        rate: The highest learning rate.
        batch: Images per step.
        training_images: At most so many are trained on; null takes all.

    Raises:
        ConfigError: One of them is out of range.
    """

    shares: tuple[float, ...] = (0.1, 0.3, 0.5)
    epochs: float = 3.0
    repeats: int = 3
    rate: float = 0.02
    batch: int = 64
    training_images: int | None = 5000

    def __post_init__(self) -> None:
        if not self.shares or not all(0 < share <= 1 for share in self.shares):
            raise ConfigError(f"shares: expected shares of the signs above 0, up to 1, found {list(self.shares)}")
        if self.repeats < 1:
            raise ConfigError(f"repeats: expected at least 1, found {self.repeats}")
        Plan(self.epochs, self.rate, self.batch)

    def __call__(self, front: ChannelFront) -> Audit:
        """Return what flipping each share of the signs costs, and how many signs training changes by itself.

        Raises:
            ConfigError: There is no candidate, or training diverged.
        """
        if not len(front.widths):
            raise ConfigError("audit: expected at least 1 candidate beside the unpruned network, found none")
        images = TrainingImages.load(front.training, front.bench.device, self.training_images)
        slicer, shares = front.slicer_of(front.scores), (0.0, *self.shares)
        errors = np.zeros((len(front.widths), self.repeats, len(shares)))
        changed = np.zeros((len(front.widths), self.repeats))
        for row, widths in enumerate(front.widths):
            start = front.runner.settled(slicer.variant(widths)).network
            for repeat in range(self.repeats):
                seed = drawn_seed(front.seed, row, repeat)
                for column, share in enumerate(shares):
                    begun = flipped(start, share, drawn_seed(seed, column))
                    network = self._trained(begun, images, front, seed)
                    errors[row, repeat, column] = _error(network, front)
                    if share == 0:
                        changed[row, repeat] = changed_signs(begun, network)
        return self._audit(errors, changed, np.random.default_rng(front.seed))

    def _trained(self, network: nn.Module, images: TrainingImages, front: ChannelFront, seed: int) -> nn.Module:
        plan, select = Plan(self.epochs, self.rate, self.batch), front.bench.images[Split.SELECT]
        return trained(network, images, plan, seed, held_out=select, label="audit: signs flipped").network

    def _audit(self, errors: FloatArray, changed: FloatArray, rng: np.random.Generator) -> Audit:
        findings, rows = [], list[dict[str, Cell]]()
        for column, share in enumerate(self.shares, start=1):
            worse = (errors[..., column] - errors[..., 0]).mean(axis=1)
            own = bootstrapped(partial(_mean, worse), len(worse), rng)
            low, high = (own.low, own.high) if own.defined else (None, None)
            alarm = low is not None and low > 0
            ends = "ends worse" if alarm else "does not end shown to be worse"
            sentence = f"With {share:.0%} of the signs flipped training {ends}: by {own.value:+.4f} of the error."
            findings.append(Finding(f"signs-flipped-{share:g}", own.value, low, high, alarm, sentence))
        for row in range(len(errors)):
            means = errors[row].mean(axis=0)
            own_row: dict[str, Cell] = {
                "candidate": row + 1,
                "signs changed by training": round(changed[row].mean(), 4),
            }
            for column, share in enumerate((0, *self.shares)):
                own_row[f"error, {share:.0%} flipped"] = round(float(means[column]), 4)
            rows.append(own_row)
        return Audit(findings, {"signs": rows})


def _mean(values: FloatArray, counts: FloatArray) -> FloatArray:
    """Return the mean of values, shape (n,), drawn so often each, shape (resamples, n)."""
    return np.asarray(counts @ values / counts.sum(axis=1), dtype=np.float64)


def flipped(network: nn.Module, share: float, seed: int) -> nn.Module:
    """Return a copy in which a share of the weights that are not zero, of layers that multiply, has the other sign."""
    made, generator = trainable(network), torch.Generator().manual_seed(seed)
    with torch.no_grad(), one_thread():
        for own in made.parameters():
            if own.ndim > 1:
                live = own.flatten().nonzero().flatten().cpu()
                count = round(share * len(live))
                own.view(-1)[live[torch.randperm(len(live), generator=generator)[:count]]] *= -1
    return made


def changed_signs(before: nn.Module, after: nn.Module) -> float:
    """Return the share of the weights of layers that multiply whose sign is another one."""
    pairs = zip(before.parameters(), after.parameters(), strict=True)
    signs = [(one.detach().sign() != other.detach().sign()).flatten() for one, other in pairs if one.ndim > 1]
    return float(torch.cat(signs).float().mean())


def _error(network: nn.Module, front: ChannelFront) -> float:
    images = front.bench.images[Split.TEST]
    return float((finite_outputs_of(network, images).argmax(dim=1) != images.labels).float().mean())
