"""Where the surveys of the field place a criterion: every leaf, and why nothing here covers those that stay empty.

The leaves are those of 'Structured Pruning for Deep Convolutional Neural Networks: A Survey' (2303.00566). The three
families of 'Methods for Pruning Deep Neural Networks' (2011.00241) lie within them: magnitude is the ranking by weight
norm, similarity and clustering is the ranking by weight correlation, sensitivity is the optimisation tools.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["ELSEWHERE", "LEAVES"]

# Leaves that plug-ins of other kinds cover, by kind and name.
ELSEWHERE: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        "architecture search/gradient": (
            ("reference", "weight-ratios.transport"),
            ("reference", "weight-ratios.hard-concrete"),
        ),
        "architecture search/evolution": (("algorithm", "nsga2"), ("algorithm", "evopress")),
        "extensions/lottery ticket": (
            ("recovery", "rewind-weights"),
            ("audit", "channels.fine-tuned"),
        ),
        "extensions/joint compression": (("problem", "heads-and-neurons"), ("audit", "heads-and-neurons.families")),
        "extensions/special granularity": (("problem", "weight-ratios"), ("problem", "transformer-weight-ratios")),
    }
)
_MORE = {
    "architecture search/gradient": "what each layer keeps is learnt by gradients",
    "architecture search/evolution": "the search itself",
    "extensions/lottery ticket": "it rewinds and trains again, or trains the chosen shapes from scratch",
    "extensions/joint compression": "with `bits`, pruning and rounding in one genome",
    "extensions/special granularity": "single weights and N:M patterns",
}


def _by_others(leaf: str) -> str:
    named = ", ".join(f"{kind} {name.rpartition('.')[2]}" for kind, name in ELSEWHERE[leaf])
    return f"no criterion's task, but that of {named}: {_MORE[leaf]}"


# A leaf is `family/leaf`; an empty reason means that a criterion here has it as its `leaf`.
LEAVES: Mapping[str, str] = MappingProxyType(
    {
        "filter ranking/weight norm": "",
        "filter ranking/weight correlation": "",
        "filter ranking/activation of this layer": "",
        "filter ranking/activation of the next layer": "",
        "filter ranking/activation of all layers": "",
        "regularisation/batch-norm scale": "",
        "regularisation/extra gates": "",
        "regularisation/group sparsity": "",
        "optimisation tools/first-order Taylor": "",
        "optimisation tools/second-order Taylor": "",
        "optimisation tools/variational Bayes": "",
        "optimisation tools/others": "solvers that have no ranking in common",
        "dynamic pruning/during training": "",
        "dynamic pruning/at inference": "it picks units anew for every image, so that nothing smaller can be exported",
        "architecture search/reinforcement learning": (
            "it decides how many units go, which is the search's part; a criterion says which ones"
        ),
        **{leaf: _by_others(leaf) for leaf in ELSEWHERE},
        "control/random": "",
    }
)
