"""What the problem of heads and neurons can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from emoprune import plugins
from emoprune.errors import ConfigError
from emoprune.plugins import naming
from emoprune.problems.networks.transformers.audits.contract import TransformerAudit
from emoprune.problems.networks.transformers.genes import Form
from emoprune.problems.networks.transformers.recovery.options import TransformerRecoveryOptions
from emoprune.problems.networks.transformers.tasks.options import TransformerOptions

__all__ = ["NONE", "HeadsAndNeuronsAuditOptions", "HeadsAndNeuronsOptions", "HeadsAndNeuronsRecoveryOptions"]

NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadsAndNeuronsOptions(TransformerOptions):
    """What can go of each layer, which units stay, and how the rest is repaired.

    Args:
        references: What a user would have picked without a search: uniform, global-criterion, global-magnitude,
            greedy-heads, dropped-layers, random, k-prune, or others of `emoprune list references`.
        calibration_data: Another text to calibrate on; None takes windows of `data` that are measured nowhere.
        genes: levels (how many heads and neurons of each layer stay) or bits (which ones), for small models.
        levels: How many counts of heads, and of neurons, each layer can take, evenly spread from none to all; 1 drops
            attention and feed-forward networks as a whole, each by a gene of its own.
        round_to: Counts of neurons are multiples of this many, or all; 8, 16 or 32 suits most hardware.
        smallest: No layer that stays keeps less than this share of its heads or neurons.
        drop_layers: Whether whole layers can go.
        bits: Numbers of bits that each layer's weights can be rounded to, rising up to 32; none leaves them floats.
        criterion: What ranks units; `emoprune list criteria` names those that serve heads-and-neurons.
        repair: How the weights that stay make up for those that go: least-squares fits the output projections of each
            narrowed layer to the unpruned ones; none, or another that `emoprune list compensations` names.
        percentages: Of the counted objective, at which the references are made.
        whole_groups: Whether query heads that share a key and value go together, so that the cache shrinks with them.
        uniform: Whether all layers that stay have the same number of heads and of neurons, which a config of
            transformers can say.

    Raises:
        ConfigError: A percentage is none, or as for every transformer.
    """

    problem: ClassVar[str] = "heads-and-neurons"

    references: Sequence[str | Mapping[str, Any]] = (
        *("uniform", "global-criterion", "global-magnitude", "greedy-heads", "dropped-layers", "random"),
    )
    cache_megabytes: int = 512
    calibration_data: str | None = None
    genes: Form = "levels"
    levels: int = 16
    round_to: int = 1
    smallest: float = 0.0
    drop_layers: bool = True
    bits: Sequence[int] = ()
    criterion: str | Mapping[str, Any] = "heapr"
    repair: str | Mapping[str, Any] = "least-squares"
    percentages: Sequence[int] = (90, 80, 70, 50)
    whole_groups: bool = True
    uniform: bool = False

    @classmethod
    def of_earlier(cls, resolved: Mapping[str, Any], objectives: Sequence[str]) -> Mapping[str, Any]:
        """Return the options of a run in today's words: once heads went one by one."""
        return {"whole_groups": False, **TransformerOptions.of_earlier(resolved, objectives)}

    def __post_init__(self) -> None:
        TransformerOptions.__post_init__(self)
        if any(not 0 < percentage < 100 for percentage in self.percentages):
            raise ConfigError(f"percentages: expected whole numbers from 1 to 99, found {list(self.percentages)}")

    @property
    def calibrated_on(self) -> str | None:
        """Another text that scores and repairs are computed on; None for windows of the data itself."""
        return self.calibration_data


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadsAndNeuronsRecoveryOptions(TransformerRecoveryOptions):
    """How a smaller model is won back.

    Args:
        rank: How many numbers a low-rank adapter passes on.
    """

    problem: ClassVar[str] = HeadsAndNeuronsOptions.problem

    method: Annotated[str | Mapping[str, Any], naming("recovery", "heads-and-neurons")] = "finetune"
    rank: int = 8

    @property
    def shared(self) -> dict[str, Any]:
        """What is handed on to methods that know it."""
        return {**super(HeadsAndNeuronsRecoveryOptions, self).shared, "rank": self.rank}


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadsAndNeuronsAuditOptions:
    """How a front is looked behind.

    Args:
        method: How: an audit's name or import target, or a mapping of that and options; `emoprune list audits` names
            those that serve heads-and-neurons.
        samples: How many other samples of the data the units are ranked on.
        other_data: Other data that the front is measured and calibrated on; by default Python's own source code for a
            language model.
        families: Whether other families of compression are held against the front at equal bytes.
    """

    method: Annotated[str | Mapping[str, Any], naming("audit", "heads-and-neurons")] = "samples-and-domains"
    samples: int = 2
    other_data: str | None = None
    families: bool = False

    def audit(self) -> TransformerAudit:
        """Return the method, made with its options.

        Raises:
            ConfigError: There is none of that name, it does not serve heads-and-neurons, or an option is wrong.
        """
        shared = {"samples": self.samples, "other_data": self.other_data, "families": self.families}
        made: TransformerAudit = plugins.method(
            "audit", self.method, HeadsAndNeuronsOptions.problem, option="method", shared=shared
        )
        return made
