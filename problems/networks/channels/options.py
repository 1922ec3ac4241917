"""What the problem of channel widths can be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar

from emoprune import plugins
from emoprune.contracts import AuditMethod
from emoprune.plugins import naming
from emoprune.problems.networks.channels.audits.contract import ChannelFront
from emoprune.problems.networks.channels.audits.options import FineTunedOptions
from emoprune.problems.networks.channels.references.catalogue import BY_DEFAULT
from emoprune.problems.networks.recovery.options import RecoveryOptions
from emoprune.problems.networks.task import NetworkOptions

__all__ = ["NONE", "ChannelAuditOptions", "ChannelOptions", "ChannelRecoveryOptions"]

NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelOptions(NetworkOptions):
    """How wide coupling groups can be, which units stay, and what else is measured.

    Args:
        ignore: Patterns of layers whose outgoing channels stay whole, as in `head.*`.
        widths: How many widths each coupling group can take, evenly spread up to the full one.
        round_to: Widths are multiples of this many units, or full; 8, 16 or 32 suits most hardware. In front of or in a
            grouped convolution a unit is one channel of every group.
        smallest: No coupling group keeps less than this share of its units.
        criterion: What ranks the units of a coupling group; `emoprune list criteria` names them.
        compensation: How the weights that stay make up for those that go: none, or a name of `emoprune list
            compensations`.
        references: What a user would have picked without a search: uniform, global-magnitude, erk, balanced,
            pyramidal, pq-1-2, pq-0_5-1, random; and sensitivity and eagle-eye, which measure more than a generation
            does; or others of `emoprune list references`. Names, or mappings of a name and options, as in {name:
            eagle-eye, percentages: [50], candidates: 20}.
    """

    problem: ClassVar[str] = "channels"

    widths: int = 16
    round_to: int = 1
    smallest: float = 0.0
    criterion: str | Mapping[str, Any] = "lasso"
    compensation: str | Mapping[str, Any] = NONE
    references: Sequence[str | Mapping[str, Any]] = BY_DEFAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelAuditOptions(FineTunedOptions):
    """How a front is looked behind.

    Args:
        method: fine-tuned, another one of `emoprune list audits`, or a mapping of a name and options.
    """

    method: Annotated[str | Mapping[str, Any], naming("audit", "channels")] = "fine-tuned"

    def audit(self) -> AuditMethod[ChannelFront]:
        """Return the method, made with its options.

        Raises:
            ConfigError: There is none of that name, it does not serve channels, or an option is wrong.
        """
        shared = {own.name: getattr(self, own.name) for own in fields(FineTunedOptions)}
        made: AuditMethod[ChannelFront] = plugins.method(
            "audit", self.method, ChannelOptions.problem, option="method", shared=shared
        )
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelRecoveryOptions(RecoveryOptions):
    """How a network with fewer channels is won back."""

    problem: ClassVar[str] = ChannelOptions.problem

    method: Annotated[str | Mapping[str, Any], naming("recovery", "channels")] = "finetune"
