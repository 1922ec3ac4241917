"""What a measure sees of a pruned network, and what it may say of itself besides unit and direction.

A measure is called once for each network and part of the data. Of a transformer the built-in measures of outputs
(error, loss, kl, perplexity) are computed by its task, a piece of the vocabulary at a time; any other measure sees its
counts and the narrowed model. Members that it may have, as class attributes:

    needs: What it looks at, of `Needs`; all that there is unless said, so that one that says it costs less.
    worst: The largest value that it can take, from which a hypervolume is worth measuring. What is counted is worst at
        the unpruned network.
    shares: Whether bounds may be in shares of the unpruned network's value, as in `macs-share`: a cost above 0.
    quality: Whether it says how good the network is, so that references are picked by it, parts joined and fronts
        audited, if it is the first objective that does; so do those that say that they need outputs, unless said.
    link: How it follows from a mean over examples, of `emoprune.contracts.Link`. Of images it then has a method
        `examples(seen)` as well, which returns what each image adds to the mean, shape (images,): it has standard
        errors, and candidates are given up early by it. Where a measure is neither counted nor such a mean, all of the
        problem is measured in full.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import nn

from emoprune.contracts import Link
from emoprune.contracts.links import LINKS
from emoprune.errors import ContractError
from emoprune.problems.networks.evaluation.latency import Timing
from emoprune.problems.networks.evaluation.scoring import LoadedImages

__all__ = [
    "CONVOLUTIONAL",
    "COUNTS",
    "DROPPING",
    "NETWORK",
    "OUTPUTS",
    "OUTPUTS_OF_BOTH",
    "SERVES",
    "TRANSFORMERS",
    "Built",
    "Needs",
    "Scored",
    "Seen",
    "examples_of",
    "link_of",
    "needs",
]

Needs = Literal["counts", "network", "outputs", "outputs of both"]
COUNTS, NETWORK, OUTPUTS, OUTPUTS_OF_BOTH = get_args(Needs)
TRANSFORMERS = ("heads-and-neurons", "transformer-weight-ratios", "transformer-bit-widths")
CONVOLUTIONAL = ("channels", "subnetworks", "weight-ratios", "bit-widths")
DROPPING = ("tokens",)  # whose classifiers keep their weights, and drop something while they run
SERVES = (*CONVOLUTIONAL, *TRANSFORMERS)


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """What a network puts out for the images of one part of the data, finite, and their labels.

    Attributes:
        outputs: Shape (images, classes), 32-bit floats or more, on the device that runs the network.
        labels: Shape (images,), whole numbers, on the same device.
        unpruned: What the unpruned network puts out, in the same shape; None where no measure asks for it.
    """

    outputs: torch.Tensor
    labels: torch.Tensor
    unpruned: torch.Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Built:
    """A pruned network, which measures leave as it is.

    Attributes:
        pruned: In eval mode, its batch norms with the statistics of the unpruned network.
        settled: Returns it with the statistics that it is scored with; estimated when asked for.
        timing: Returns how long it takes for a batch, as the problem's `latency` says; measured when asked for, once.
        members: Returns labelled images that the unpruned network was trained on and that lie in no other part; None
            where there are no images with labels.
    """

    pruned: nn.Module
    settled: Callable[[], nn.Module]
    timing: Callable[[], Timing]
    members: Callable[[], LoadedImages] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A pruned network on one part of the data, as measures see it.

    Args:
        counts: Its macs, parameters and bytes, as the problem counts them.
        scored: What it puts out; None where no measure that is asked for needs it.
        built: The network; None where it is only counted.
    """

    counts: Mapping[str, float]
    scored: Scored | None = None
    built: Built | None = None

    @property
    def outputs(self) -> torch.Tensor:
        """What the network puts out, shape (images, classes)."""
        return self._scored.outputs

    @property
    def labels(self) -> torch.Tensor:
        """The labels of the images, shape (images,)."""
        return self._scored.labels

    @property
    def unpruned_outputs(self) -> torch.Tensor:
        """What the unpruned network puts out, shape (images, classes)."""
        if self._scored.unpruned is None:
            raise ContractError(
                f"objective: what the unpruned network puts out is seen with `needs = {OUTPUTS_OF_BOTH!r}`"
            )
        return self._scored.unpruned

    @property
    def pruned(self) -> nn.Module:
        """The network as it was cut or treated, in eval mode: its weights are final, batch-norm statistics are not."""
        return self._built.pruned

    @property
    def network(self) -> nn.Module:
        """The network as it is scored, in eval mode."""
        return self._built.settled()

    @property
    def timing(self) -> Timing:
        """How long it takes for a batch of images."""
        return self._built.timing()

    @property
    def members(self) -> LoadedImages:
        """Labelled images of the training part, the calibration's.

        Raises:
            ConfigError: Some of them are in another part, too.
            ContractError: There are no images with labels.
        """
        if self._built.members is None:
            raise ContractError("objective: training images are seen of networks of images alone")
        return self._built.members()

    @property
    def _scored(self) -> Scored:
        if self.scored is None:
            raise ContractError(f"objective: outputs and labels are seen with `needs = {OUTPUTS!r}`")
        return self.scored

    @property
    def _built(self) -> Built:
        if self.built is None:
            raise ContractError(f"objective: the network is seen by all measures but those with `needs = {COUNTS!r}`")
        return self.built


def needs(measure: object) -> Needs:
    """Return what a measure needs to see; one that does not say it needs the most.

    Raises:
        ContractError: It says something else.
    """
    own: Needs = getattr(measure, "needs", OUTPUTS_OF_BOTH)
    if own not in get_args(Needs):
        raise ContractError(f"objective: needs: expected one of {', '.join(get_args(Needs))}, found {own!r}")
    return own


def link_of(measure: object) -> Link | None:
    """Return how a measure follows from a mean over examples; None if it is none.

    Raises:
        ContractError: It says something else.
    """
    own: Link | None = getattr(measure, "link", None)
    if own is not None and own not in LINKS:
        raise ContractError(f"objective: link: expected one of {', '.join(LINKS)}, found {own!r}")
    return own


def examples_of(measure: object) -> Callable[[Seen], torch.Tensor] | None:
    """Return what says of each image what it adds to that mean; None where a measure does not say it."""
    own: Callable[[Seen], torch.Tensor] | None = getattr(measure, "examples", None)
    return None if link_of(measure) is None else own
