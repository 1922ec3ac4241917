"""Does the front leak who was in the training part, asked again with other images and a stronger attack?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from emoprune.contracts import Audit, Finding, FloatArray, Paper, about
from emoprune.errors import ConfigError
from emoprune.problems.networks.channels.audits.contract import ChannelFront
from emoprune.problems.networks.evaluation.cost import CostModel
from emoprune.problems.networks.evaluation.members import digests, members_of
from emoprune.problems.networks.evaluation.objectives.membership_risk import attack_auc, losses_of
from emoprune.problems.networks.evaluation.scoring import LoadedImages, outputs_of
from emoprune.problems.networks.recovery.copying import drawn_anew
from emoprune.problems.networks.recovery.images import TrainingImages
from emoprune.problems.networks.recovery.loop import trained
from emoprune.problems.networks.recovery.plan import Plan
from emoprune.problems.networks.variant import Variant
from emoprune.records import Split

__all__ = ["MembershipAudit", "shadow_auc"]

SIZE = 64  # images put through a network at once


@about(
    "audit",
    ["channels"],
    serves=("channels",),
    cost="every candidate measured on three sets of images; with shadows, so many trainings of its shape",
    papers=[
        Paper("Against Membership Inference Attack: Pruning is All You Need", "2008.13578"),
        Paper("Membership Inference Attacks From First Principles", "2112.03570"),
    ],
    gradients=True,
    training=True,
)
@dataclass(frozen=True, slots=True, kw_only=True)
class MembershipAudit:
    """Attack every candidate with images that no search has seen, and with shadow models, beside a dense network.

    Members are training images, the others those of `search`, by which a search may have chosen, and those of `test`,
    by which nothing was. An attack with shadow models trains each candidate's shape on halves of the training part and
    compares an image's loss with what it is where the image was left out. A dense network trained with weight decay
    stands beside the front, so that pruning does not get its credit. Sources: Against Membership Inference Attack:
    Pruning is All You Need, arXiv 2008.13578; Membership Inference Attacks From First Principles, arXiv 2112.03570, for
    shadow models, here few and without a model of their spread.

    Args:
        shadows: Of each candidate; 0 leaves them out, 4 or more see something.
        epochs: How long shadows, and the dense network beside the front, are trained.
        rate: Their highest learning rate.
        weight_decay: Of the dense network.
    """

    shadows: int = 0
    epochs: float = 10.0
    rate: float = 0.05
    weight_decay: float = 5e-3

    def __post_init__(self) -> None:
        if self.shadows < 0 or self.shadows == 1:
            raise ConfigError(f"shadows: expected 0, or 2 or more, found {self.shadows}")
        self._plan(0.0), self._plan(self.weight_decay)

    def _plan(self, weight_decay: float) -> Plan:
        return Plan(self.epochs, self.rate, weight_decay=weight_decay)

    def __call__(self, front: ChannelFront) -> Audit:
        """Return the areas under the attacks' curves along the front.

        Raises:
            ConfigError: Training images are among those of another part, or training diverged.
        """
        bench = front.bench
        members_of(bench)  # refuses images that are both
        training = TrainingImages.load(front.training, bench.device)
        members = LoadedImages(tuple(torch.split(training.images, SIZE)), training.labels)
        _check_apart(members, bench.images[Split.TEST])
        slicer, model = front.slicer_of(front.scores), CostModel.of(bench.network, bench.structure)
        full = float(model.macs(np.atleast_2d(bench.structure.units))[0])
        dense = trained(
            drawn_anew(bench.network, front.seed),
            training,
            self._plan(self.weight_decay),
            front.seed,
            held_out=bench.images[Split.SELECT],
            label="audit: the dense network with weight decay",
        ).network
        subjects: list[tuple[str, float, nn.Module]] = [("unpruned", 1.0, bench.network)]
        subjects.append(("dense, from scratch with weight decay", 1.0, dense))
        for number, widths in enumerate(front.widths):
            variant: Variant = front.runner.settled(slicer.variant(widths))
            share = float(model.macs(widths[np.newaxis])[0]) / full
            subjects.append((f"candidate {number + 1}", share, variant.network))
        rows = [self._row(subject, members, front, training) for subject in subjects]
        fresh = [float(row["risk, other non-members"]) for row in rows]  # type: ignore[arg-type]  # a number, as made below
        seen = [float(row["risk, as searched"]) for row in rows]  # type: ignore[arg-type]  # likewise
        gap = float(np.mean(np.array(fresh[2:]) - np.array(seen[2:])))
        least = min(fresh[2:])
        better = least < fresh[1]
        sentence = (
            f"The candidate that leaks least has a risk of {least:.3f} with non-members that chose nothing, the "
            f"unpruned network {fresh[0]:.3f}, and a dense one trained with weight decay {fresh[1]:.3f}: "
            + ("pruning leaks less." if better else "weight decay does as well, pruning gets no credit.")
        )
        tuned = gap > 0.02
        found = f"On images that the search did not see the risk along the front is {gap:+.3f} higher: " + (
            "it is tuned to those it saw." if tuned else "what was searched here holds there."
        )
        findings = [
            Finding("membership risk beside a dense network", least, None, None, not better, sentence),
            Finding("membership risk on other non-members", gap, None, None, tuned, found),
        ]
        return Audit(findings, {"membership risk": rows})

    def _row(
        self,
        subject: tuple[str, float, nn.Module],
        members: LoadedImages,
        front: ChannelFront,
        training: TrainingImages,
    ) -> dict[str, str | float | None]:
        name, share, network = subject
        inside = _losses(network, members)
        searched, fresh = (_losses(network, front.bench.images[split]) for split in (Split.SEARCH, Split.TEST))
        row: dict[str, str | float | None] = {"network": name, "MACs share": round(share, 4)}
        row["risk, as searched"] = round(_risk(inside, searched), 4)
        row["risk, other non-members"] = round(_risk(inside, fresh), 4)
        if self.shadows:
            row["risk, shadow models"] = round(self._shadowed(network, inside, fresh, front, training), 4)
        row["error on test"] = round(_error(network, front.bench.images[Split.TEST]), 4)
        return row

    def _shadowed(
        self,
        network: nn.Module,
        inside: FloatArray,
        fresh: FloatArray,
        front: ChannelFront,
        training: TrainingImages,
    ) -> float:
        """Return the risk where each loss is compared with that of shadows which were not trained on the image."""
        rng, test = np.random.default_rng(front.seed), front.bench.images[Split.TEST]
        count = len(training)
        out, others = np.full((self.shadows, count), np.nan), np.zeros((self.shadows, len(test.labels)))
        for number in range(self.shadows):
            half = torch.from_numpy(np.sort(rng.permutation(count)[: count // 2])).to(training.images.device)
            own = TrainingImages(training.images[half], training.labels[half])
            shadow = trained(
                drawn_anew(network, front.seed + number),
                own,
                self._plan(0.0),
                front.seed + number,
                held_out=front.bench.images[Split.SELECT],
                label=f"audit: shadow {number + 1} of {self.shadows}",
            ).network
            left = np.setdiff1d(np.arange(count), half.cpu().numpy())
            whole = _losses(shadow, LoadedImages(tuple(torch.split(training.images, SIZE)), training.labels))
            out[number, left] = whole[left]
            others[number] = _losses(shadow, test)
        return shadow_auc(inside, out, fresh, others)


def shadow_auc(inside: FloatArray, out: FloatArray, fresh: FloatArray, others: FloatArray) -> float:
    """Return the risk of an attack that compares losses with those of shadows that were not trained on the image.

    Args:
        inside: The network's losses of members, shape (n,).
        out: Those of each shadow, NaN where it was trained on the image, shape (shadows, n).
        fresh: The network's losses of others, shape (m,).
        others: Those of each shadow, shape (shadows, m).
    """
    known = ~np.isnan(out).all(axis=0)
    usual = np.nanmean(out[:, known], axis=0)
    return _risk(inside[known] - usual, fresh - others.mean(axis=0))


def _risk(members: FloatArray, others: FloatArray) -> float:
    area = attack_auc(members, others)
    return max(area, 1 - area)


def _losses(network: nn.Module, images: LoadedImages) -> FloatArray:
    return losses_of(outputs_of(network, images), images.labels)


def _error(network: nn.Module, images: LoadedImages) -> float:
    return float((outputs_of(network, images).argmax(dim=1) != images.labels).float().mean())


def _check_apart(members: LoadedImages, others: LoadedImages) -> None:
    shared = len(set(digests(members)) & set(digests(others)))
    if shared:
        raise ConfigError(
            f"audit: {shared} training images are among those of test, too, so that members cannot be told from "
            "non-members; take them out of one of the parts"
        )
