"""The light convolution network on the columns that a policy keeps: trained wide, then narrowed channel by channel."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from emoprune.errors import ConfigError
from emoprune.problems.tables.computing import Computed
from emoprune.problems.tables.formulas.formula import Term
from emoprune.problems.tables.rows.splits import Block
from emoprune.problems.tables.standalone.convolution import FORMAT, TAPS, Network
from emoprune.problems.tables.table import Task

if TYPE_CHECKING:
    from torch import nn

__all__ = ["CONVOLUTION", "Convolution", "ConvolutionModel"]

CONVOLUTION = "convolution"

FloatArray = NDArray[np.float64]
LAYERS = ("first", "second", "head")


@dataclass(frozen=True, slots=True, eq=False)
class ConvolutionModel:
    """A trained and narrowed network."""

    network: Network

    @property
    def importances(self) -> FloatArray:
        """One for each input: a filter passes over all of them alike."""
        return np.ones(len(self.network.weights["mean"]))

    @property
    def channels(self) -> tuple[int, int]:
        """How many channels the two layers have."""
        return self.network.channels

    def predict(self, inputs: FloatArray) -> FloatArray:
        """Return numbers, shape (n,), or probabilities, shape (n, classes)."""
        return self.network.predict(inputs)

    def write(self, folder: Path) -> str:
        """Write network.json, network.npz and convolution.py, which predicts with numpy alone."""
        plan = {"format": FORMAT, "classes": self.network.classes, "channels": list(self.channels)}
        (folder / "network.json").write_text(json.dumps(plan, indent=1), encoding="utf-8")
        np.savez_compressed(folder / "network.npz", **dict(self.network.weights))  # type: ignore[arg-type]  # its stub takes allow_pickle for an array
        with as_file(files("emoprune.problems.tables.standalone") / "convolution.py") as script:
            shutil.copyfile(script, folder / "convolution.py")
        return "network.npz"


@dataclass(frozen=True, slots=True)
class Convolution:
    """Trains two convolutions over the kept columns, then keeps the channels with the largest weights and trains on.

    Args:
        channels: Of the two layers, unpruned.
        steps: Of Adam, before channels go; half as many follow where some went.
        rate: Of Adam.
        kept: How many channels of each layer stay; all unless said.
        threads: Of torch.

    Raises:
        ConfigError: One of them is not above zero, or torch is not installed.
    """

    channels: tuple[int, int] = (8, 8)
    steps: int = 60
    rate: float = 0.02
    kept: tuple[int, int] | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        if min(self.channels) < 1 or self.steps < 1 or self.rate <= 0:
            raise ConfigError(
                f"learner: convolution: expected channels, steps and a rate above 0, found {self.channels}, "
                f"{self.steps} and {self.rate}"
            )
        try:
            import torch  # noqa: F401  # only whether it is there
        except ModuleNotFoundError as error:
            raise ConfigError("learner: convolution needs torch: pip install 'emoprune[networks]'") from error

    def narrowed(self, kept: tuple[int, int]) -> Convolution:
        """Return the learner of networks with so many channels left."""
        return replace(self, kept=kept)

    def fitted(self, computed: Computed, block: Block, terms: Sequence[Term], seed: int) -> ConvolutionModel:
        """Return a network trained on the block's training rows with these columns."""
        import torch

        torch.set_num_threads(self.threads)
        table = computed.table
        inputs = computed.matrix(terms, block, block.train)
        mean, deviation = _scale(inputs)
        scaled = np.where(np.isnan(inputs), 0.0, (inputs - mean) / deviation)
        target = table.target[block.train]
        classes = table.task is not Task.REGRESSION
        level, spread = (0.0, 1.0) if classes else (float(target.mean()), float(target.std()) or 1.0)
        rows = torch.from_numpy(scaled[:, np.newaxis, :]).float()
        wanted = torch.from_numpy(target.astype(np.int64) if classes else (target - level) / spread)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed % 2**31)
            net = _made(self.channels, len(table.classes) if classes else 1)
        self._train(net, rows, wanted, self.steps, classes=classes)
        if self.kept is not None and self.kept != self.channels:
            net = _narrowed(net, self.kept)
            self._train(net, rows, wanted, max(1, self.steps // 2), classes=classes)
        return ConvolutionModel(_plain(net, mean, deviation, level, spread, classes=classes))

    def _train(self, net: nn.Module, rows: object, wanted: object, steps: int, *, classes: bool) -> None:
        import torch

        optimiser = torch.optim.Adam(net.parameters(), lr=self.rate)
        for _ in range(steps):
            optimiser.zero_grad()
            scores = net(rows)
            if classes:
                loss = torch.nn.functional.cross_entropy(scores, wanted)  # type: ignore[arg-type]  # tensors, of a library that is read late
            else:
                loss = torch.mean(torch.square(scores[:, 0] - wanted))
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it so
            optimiser.step()


def _scale(inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
    known = np.where(np.isnan(inputs).all(axis=0), 0.0, inputs)  # a column without values in this window says nothing
    deviation = np.nanstd(known, axis=0)
    return np.nanmean(known, axis=0), np.where(deviation > 0, deviation, 1.0)


def _made(channels: tuple[int, int], outputs: int) -> nn.Module:
    from torch import Tensor, nn

    class Net(nn.Module):
        def __init__(self, first: nn.Conv1d, second: nn.Conv1d, head: nn.Linear) -> None:
            super().__init__()
            self.first, self.second, self.head = first, second, head

        def forward(self, rows: Tensor) -> Tensor:
            seen = nn.functional.relu(self.second(nn.functional.relu(self.first(rows))))
            scores: Tensor = self.head(seen.mean(dim=2))
            return scores

    first = nn.Conv1d(1, channels[0], TAPS, padding=TAPS // 2)
    second = nn.Conv1d(channels[0], channels[1], TAPS, padding=TAPS // 2)
    return Net(first, second, nn.Linear(channels[1], outputs))


def _narrowed(net: nn.Module, kept: tuple[int, int]) -> nn.Module:
    """Return a network with the channels of the largest filters, whose weights are theirs."""
    import torch

    own = net.state_dict()
    stay = [
        torch.sort(own[f"{layer}.weight"].abs().sum(dim=(1, 2)).topk(count).indices).values
        for layer, count in zip(LAYERS[:2], kept, strict=True)
    ]
    cut = {
        "first.weight": own["first.weight"][stay[0]],
        "first.bias": own["first.bias"][stay[0]],
        "second.weight": own["second.weight"][stay[1]][:, stay[0]],
        "second.bias": own["second.bias"][stay[1]],
        "head.weight": own["head.weight"][:, stay[1]],
        "head.bias": own["head.bias"],
    }
    narrow = _made(kept, len(own["head.bias"]))
    narrow.load_state_dict(cut)
    return narrow


def _plain(
    net: nn.Module, mean: FloatArray, deviation: FloatArray, level: float, spread: float, *, classes: bool
) -> Network:
    own = net.state_dict()
    weights: dict[str, FloatArray] = {"mean": mean, "deviation": deviation}
    for layer in LAYERS:
        weights[layer] = own[f"{layer}.weight"].double().numpy()
        weights[f"{layer}_bias"] = own[f"{layer}.bias"].double().numpy()
    return Network({**weights, "level": np.array(level), "spread": np.array(spread)}, classes)
