"""Pruning of tokens: which patches or words an encoder drops between its layers."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch.nn import functional

from emoprune import plugins
from emoprune.contracts import Description, Inspection, about
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.networks.evaluation.objectives.contract import Scored
from emoprune.problems.networks.transformers.anatomy.checking import first_output
from emoprune.problems.networks.transformers.data.batches import CALIBRATION, digest_of
from emoprune.problems.networks.transformers.inference.measures import SeenInference
from emoprune.problems.networks.transformers.inference.problem import InferenceProblem
from emoprune.problems.networks.transformers.inference.standalone.dropping import use
from emoprune.problems.networks.transformers.inference.tokens.built_in import BUILT_IN, built_in_vit
from emoprune.problems.networks.transformers.inference.tokens.export import write_policy
from emoprune.problems.networks.transformers.inference.tokens.layout import TokenLayout
from emoprune.problems.networks.transformers.inference.tokens.options import TokenOptions
from emoprune.problems.networks.transformers.inference.tokens.references.inputs import TokenInputs
from emoprune.problems.networks.transformers.inference.tokens.replaying import Replay, bytes_of
from emoprune.problems.networks.transformers.inference.tokens.selectors.contract import TokenSelector
from emoprune.problems.networks.transformers.prepare import fitted
from emoprune.problems.networks.transformers.running.passing import calls_of
from emoprune.problems.networks.transformers.tasks.opening import Opened, opened
from emoprune.problems.networks.transformers.tasks.trying import try_unpruned
from emoprune.records import Split
from emoprune.space import IntArray

__all__ = ["Tokens"]

EXACT = 1e-5  # of the largest output: what rounding changes


@about("pruning", ["tokens"], cost="the layers behind the first that drops something")
class Tokens(InferenceProblem):
    """Prune the tokens of an encoder of images or sentences: a layer before which some go, how many, and which.

    A second, deeper layer may drop more, those that are least attended to. Each example may keep a number of its own;
    costs are means of what was really computed.
    """

    options: ClassVar = TokenOptions

    def __init__(self, **given: Any) -> None:
        own = TokenOptions(**given)
        if own.model == BUILT_IN:
            own = replace(own, model=str(built_in_vit()))
        self._own = own
        selectors: Mapping[str, TokenSelector] = plugins.methods(
            "selector", own.selectors, own.problem, option="selectors"
        )
        self._opened: Opened | None = opened(own)
        self._fitted: dict[str, torch.Tensor] = {}
        self._replay: Replay | None = None
        self._labels: dict[str, torch.Tensor] = {}
        anatomy = self._opened.anatomy
        anatomy.check_one_stack("dropping tokens")
        self._number = len(anatomy.blocks)
        self._first, special = _asking(self._opened)
        named = {name.rpartition(":")[2]: each for name, each in selectors.items()}
        self._layout = TokenLayout(self._checked_layers(), tuple(own.shares), named, self._first, special)
        orders = sum(len(each.strengths) for each in named.values())
        size = bytes_of(
            self._opened.task.parts, self._opened.task.tokens, anatomy.hidden, len(self._layout.layers), orders
        )
        _check_room(size, own.record_megabytes)
        usual = (self._opened.task.default_objective, "layer-tokens")
        super().__init__(own, self._layout.space, {"layer-tokens": self._whole()}, usual)

    def _checked_layers(self) -> tuple[int, ...]:
        layers = tuple(range(1, self._number)) if self._own.layers is None else tuple(self._own.layers)
        if not layers or any(not 0 < each < self._number for each in layers) or sorted(set(layers)) != list(layers):
            raise ConfigError(
                f"layers: expected rising numbers from 1 to {self._number - 1}, behind a layer whose attention says "
                f"what matters, found {list(layers)}"
            )
        return layers

    def _whole(self) -> float:
        """Return the tokens that go through the layers of the unpruned model, on the search part."""
        batches = self.open().task.parts["search"]
        counts = [_tokens_of(batch.inputs, self.open().task.tokens, len(batch.labels)) for batch in batches]
        return float(np.concatenate(counts).mean()) * self._number

    def open(self) -> Opened:
        """Return the model and the data, loaded anew in a worker."""
        if self._opened is None:
            self._opened = opened(self._own, tried=True)
            self._opened.task.model.load_state_dict(self._fitted, strict=False)
        return self._opened

    def record(self, folder: Path, seed: int) -> None:  # noqa: ARG002  # nothing is drawn
        """Fit a classifier if there is none, and let the model attend as policies want it."""
        own = self.open()
        self._fitted = fitted(own, folder)
        _check_attends(own)

    def try_unpruned(self, folder: Path, seed: int) -> None:
        """Refuse a model that scores like guessing, unless the options accept it; `folder` keeps a fitted classifier.

        Raises:
            ConfigError: It says what is likely wrong.
        """
        self.record(folder, seed)
        try_unpruned(self.open(), self._own)

    def load(self, device: str) -> None:
        """Load model and data to `device`."""
        own = self.open()
        own.task.model.to(device)
        use(_model_of(own))
        parts = {part: [each.on(device) for each in batches] for part, batches in own.task.parts.items()}
        held = {part: batches for part, batches in parts.items() if part != CALIBRATION}
        self._replay = Replay(own.narrower(), held, self._layout.layers)
        self._labels = {part: torch.cat([batch.labels for batch in batches]) for part, batches in held.items()}

    def seen(self, genome: IntArray, split: Split) -> SeenInference:
        """Run the layers with what a genome leaves of the tokens."""
        if self._replay is None:
            raise ContractError("model and data are not loaded yet; call setup(device, threads) first")
        found, used = self._replay.outputs(self._layout.policy(genome), split.value)
        outputs, labels = torch.cat(found).float(), self._labels[split.value]
        losses = functional.cross_entropy(outputs, labels, reduction="none").double().cpu().numpy()
        counts = {"layer-tokens": float(used.sum(dim=0).double().mean())}
        right = (outputs.argmax(dim=1) == labels).cpu().numpy()
        return SeenInference(counts, Scored(outputs, labels), losses=losses, right=right)

    def canonical(self, genomes: IntArray) -> IntArray:
        """Return for each genome the one that stands for what it drops."""
        return self._layout.canonical(genomes)

    def reference_inputs(self, seed: int) -> TokenInputs:
        """Return what reference methods look at."""
        return TokenInputs(self._layout, np.random.default_rng([seed, 43]))

    def describe(self, genome: IntArray) -> Description:
        """Say where how many tokens go, and which."""
        policy = self._layout.policy(genome)
        said: dict[str, str | int | float] = {"dropped before layer": "none"}
        if policy.layer is not None:
            name = self._layout.name(genome)
            own = bool(self._layout.selectors[name].offsets)
            strength = "infinite" if math.isinf(policy.strength) else policy.strength
            stays = f"those before the elbow {policy.offset:+d}" if own else f"{policy.share:g} of the tokens"
            said = {"dropped before layer": policy.layer, "stays": stays, "selector": name, "strength": strength}
        if policy.later is not None:
            said |= {"and before layer": policy.later, "of these stays": policy.later_share}
        return said

    def inspect(self) -> Inspection:
        """Return the layers, the tokens of an example, and what may go."""
        own = self.open()
        asks = "the first token" if self._first else "all tokens, as there is no class token"
        summary: dict[str, str | int | float | bool] = {
            "layers": self._number,
            "tokens of an example": own.task.tokens,
            "tokens through all layers": self._whole(),
            "what asks": asks,
            "genomes": f"{float(self.space.size):.3g}",
        }
        return Inspection(summary, notes=own.notes)

    def write(self, genome: IntArray, folder: Path, *, verify: bool) -> Description:
        """Write the policy, and what applies it to a model of transformers."""
        own, policy = self.open(), self._layout.policy(genome)
        values = self.values(genome, Split.TEST)
        with torch.inference_mode():
            found, used = self._replayed(policy)
        told = {"model": Path(self._own.model).name, **self.describe(genome), "test": values}
        return write_policy(own, policy, folder, told=told, expected=(found, used) if verify else None)

    def _replayed(self, policy: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what the model puts out for the first test batch, and the tokens that went into each layer."""
        if self._replay is None:
            raise ContractError("model and data are not loaded yet; call setup(device, threads) first")
        found, used = self._replay.outputs(policy, "test")
        return found[0], used[:, : len(found[0])]

    def fingerprint(self) -> str:
        """Return a digest of everything that `evaluate` depends on and the config does not name."""
        own = self.open()
        return hashlib.sha256(f"{own.loaded.digest()} {digest_of(own.task.parts)}".encode()).hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_opened": None, "_replay": None, "_labels": {}}


def _asking(own: Opened) -> tuple[int, tuple[int, ...]]:
    """Return how many of the first tokens never go, 0 where there is no class token, and which of a text never do.

    A vision model has as many before its patches as it has tokens more than patches; a text has one where its tokenizer
    puts one in front.
    """
    tokenizer = own.loaded.tokenizer
    if tokenizer is not None and "input_ids" in own.task.parts["search"][0].inputs:
        special = tuple(sorted(set(tokenizer.all_special_ids)))
        return int(tokenizer.cls_token_id is not None), special
    with torch.inference_mode():
        hidden = calls_of(own.narrower(), own.task.parts["search"][0].inputs).hidden
    return hidden.shape[1] - (own.task.tokens - 1), ()


def _tokens_of(inputs: Mapping[str, torch.Tensor], tokens: int, rows: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return how many tokens each example has, shape (rows,)."""
    mask = inputs.get("attention_mask")
    return np.full(rows, float(tokens)) if mask is None else mask.sum(dim=1).double().cpu().numpy()


def _check_room(size: float, bound: int) -> None:
    if size > bound * 2**20:
        raise ConfigError(
            f"record_megabytes: what candidates share would take {size / 2**20:,.0f} MB of each worker's memory, found "
            f"a bound of {bound:,}; ask for fewer layers or examples, or raise the bound"
        )


def _model_of(own: Opened) -> Any:
    """Return transformers' own model, without a classifier that was fitted on it."""
    return getattr(own.task.model, "encoder", own.task.model) if own.unfitted else own.task.model


def _check_attends(own: Opened) -> None:
    """Let the model attend as policies want it; refuse one that attends by code of its own, or otherwise then."""
    model = _model_of(own)
    if not getattr(model, "_supports_attention_backend", False):
        raise ConfigError(
            f"model: {type(model).__name__} attends by code of its own, not by transformers' attention interface, so "
            "that no tokens can be left out; take a model of a family that does, such as ViT, DeiT or BERT"
        )
    batch = own.task.parts["search"][0]
    with torch.inference_mode():
        model.set_attn_implementation("eager")
        before = first_output(own.task.model(**batch.inputs))
        use(model)
        apart = float((first_output(own.task.model(**batch.inputs)) - before).abs().max())
    if not apart <= EXACT * max(1.0, float(before.abs().max())):
        raise ConfigError(
            f"model: {type(model).__name__} computes more in its attention than queries, keys, values and a mask: "
            f"outputs differ by {apart:.3g}; take a model of another family"
        )
