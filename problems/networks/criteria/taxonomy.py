"""Where the surveys of the field place a criterion: every leaf, and why nothing here covers those that stay empty.

The leaves are those of 'Structured Pruning for Deep Convolutional Neural Networks: A Survey' (2303.00566). The three
families of 'Methods for Pruning Deep Neural Networks' (2011.00241) lie within them: magnitude is the ranking by weight
norm, similarity and clustering is the ranking by weight correlation, sensitivity is the optimisation tools.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["LEAVES"]

_TRAINS = "it acts while the unpruned network is trained, and a search starts from weights that are trained already"
_SEARCHES = "it decides how many units go, which is the search's part; a criterion says which ones"

# A leaf is `family/leaf`; an empty reason means that a criterion here has it as its `leaf`.
LEAVES: Mapping[str, str] = MappingProxyType(
    {
        "filter ranking/weight norm": "",
        "filter ranking/weight correlation": "",
        "filter ranking/activation of this layer": "",
        "filter ranking/activation of the next layer": "",
        "filter ranking/activation of all layers": (
            "no importance is handed back from the last layer by weights; what a unit does to the loss through all "
            "layers is ranked by the optimisation tools"
        ),
        "regularisation/batch-norm scale": "",
        "regularisation/extra gates": _TRAINS,
        "regularisation/group sparsity": _TRAINS,
        "optimisation tools/first-order Taylor": "",
        "optimisation tools/second-order Taylor": "",
        "optimisation tools/variational Bayes": "it needs a network trained with a distribution over its weights",
        "optimisation tools/others": "solvers that have no ranking in common",
        "dynamic pruning/during training": _TRAINS,
        "dynamic pruning/at inference": "it picks units anew for every image, so that nothing smaller can be exported",
        "architecture search/reinforcement learning": _SEARCHES,
        "architecture search/gradient": _SEARCHES,
        "architecture search/evolution": _SEARCHES,
        "extensions/lottery ticket": "it rewinds and trains again; the audit trains the chosen shapes from scratch",
        "extensions/joint compression": "it is a problem of its own, such as bits per layer, and no ranking of units",
        "extensions/special granularity": "it removes less than a unit, such as single weights or N:M patterns",
        "control/random": "",
    }
)
