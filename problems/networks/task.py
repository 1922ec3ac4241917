"""A trained network, its images and what is measured of pruned ones: what all problems of this domain share."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from emoprune.contracts import Description, Failure, FloatArray, MeasuredErrors
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.compute.device import check_device, seeded
from emoprune.problems.networks.coupling.process import structure_of
from emoprune.problems.networks.coupling.pruned_module import pruned_module
from emoprune.problems.networks.coupling.structure import Kept, Structure
from emoprune.problems.networks.data.images import ImageData
from emoprune.problems.networks.evaluation.bench import Bench, unpruned_network
from emoprune.problems.networks.evaluation.blocks import Averages
from emoprune.problems.networks.evaluation.chance import alarms_about, no_better_than_guessing
from emoprune.problems.networks.evaluation.cost import CostModel
from emoprune.problems.networks.evaluation.latency import LATENCY, Latency
from emoprune.problems.networks.evaluation.layout import layout_of
from emoprune.problems.networks.evaluation.loaded import Loaded
from emoprune.problems.networks.evaluation.measures import Measures
from emoprune.problems.networks.evaluation.objectives.contract import examples_of
from emoprune.problems.networks.evaluation.proxies.by_name import Proxy, proxy_named
from emoprune.problems.networks.evaluation.proxies.contract import NormEstimate
from emoprune.problems.networks.evaluation.quality import ERROR, Quality
from emoprune.problems.networks.evaluation.reuse.tracing import NotFollowed, traced
from emoprune.problems.networks.evaluation.runner import Runner, runner_of
from emoprune.problems.networks.evaluation.scoring import calibration_images, error_of
from emoprune.problems.networks.export.export import export
from emoprune.problems.networks.export.files import FORMATS
from emoprune.problems.networks.export.formats import chosen_formats
from emoprune.problems.networks.unpruned.by_name import data_named, network_named
from emoprune.problems.networks.unpruned.recipe import Recipe, check_recipe, unpruned_weights
from emoprune.problems.networks.variant import Variant
from emoprune.problems.storage.arrays import Weights
from emoprune.problems.storage.found_references import measured_by
from emoprune.records import Candidate, Split
from emoprune.space import IntArray, Space

__all__ = ["MEGABYTE", "NetworkOptions", "NetworkTask"]

_log = logging.getLogger("emoprune")

MEGABYTE = 2**20

Precision = Literal["float32", "bfloat16", "auto"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkOptions:
    """Network, data, and what is measured of pruned networks: what all problems of this domain take.

    Args:
        network: A built-in network, or `package.module:function` that returns a torch module.
        data: Built-in images, a folder, or `package.module:function` that returns images.
        weights: A file with the network's state_dict, safetensors or torch's own format; None takes the weights the
            network comes with.
        epochs: How long to train on top, once per run; None trains a built-in network if it got no weights.
        ignore: Patterns of layers that stay as they are, as in `head.*`.
        objectives: What is minimised: error, loss, kl, macs, parameters, bytes, milliseconds, pq-index, or others of
            `emoprune list objectives`; with options as mappings of a name and them.
        at_most: Bounds by measure, or as `macs-share` in shares of the unpruned network.
        proxy: How batch-norm statistics are estimated anew: adaptive-batch-norm, adaptive-batch-norm-published, others
            of `emoprune list proxies`, or none.
        calibration_images: How many training images the statistics are estimated on; None for 256, or for all of them
            where there are fewer.
        precision: What images are put through in; auto takes bfloat16 where it predicts the same.
        cache_megabytes: How much memory each worker may use for activations that candidates share.
        trace_limit: Seconds after which reading the network's structure is given up.
        image_size: Resize the images of a folder to so many pixels both ways; the built-in sets get a black border.
        images_per_part: Use at most so many images of each part of the data.
        latency: How `milliseconds` are measured, as in {batch: 1, repeats: 50, warm_up: 5}.
    """

    problem: ClassVar[str]  # what configs call the problem that takes them

    network: str = "digits"
    data: str = "digits"
    weights: str | None = None
    epochs: int | None = None
    ignore: Sequence[str] = ()
    objectives: Sequence[str | Mapping[str, Any]] = ("error", "macs")
    at_most: Mapping[str, float] | None = None
    proxy: Proxy = "adaptive-batch-norm"
    calibration_images: int | None = None
    precision: Precision = "float32"
    cache_megabytes: int = 1024
    trace_limit: float = 300.0
    image_size: int | None = None
    images_per_part: int | None = None
    latency: Latency = LATENCY


CALIBRATING = 256  # images, where nobody says how many


class NetworkTask:
    """Network, structure, data and measures of one config; made in the driver, sent to the workers.

    Raises:
        ConfigError: Something of it cannot be used.
    """

    formats: tuple[str, ...] = tuple(FORMATS)

    def __init__(self, options: NetworkOptions) -> None:
        self.options = options
        ignored = tuple(options.ignore)
        self.recipe = Recipe.of(options.network, options.data, options.weights, options.epochs, ignored)
        self.data: ImageData = data_named(
            options.data, image_size=options.image_size, images_per_part=options.images_per_part
        )
        self.structure: Structure = structure_of(options.network, self.data.input_shape, ignored, options.trace_limit)
        with seeded(0):
            network = network_named(options.network)
        self.cost_model = CostModel.of(network, self.structure)
        unpruned = self.counted(np.array([self.structure.units], dtype=np.int64))
        self.measures = Measures.of(options.objectives, options.at_most or {}, unpruned, options.problem)
        self._weights: Weights | None = None
        # How batch-norm statistics are estimated anew; None keeps the sliced ones.
        self.estimate: NormEstimate | None = proxy_named(options.proxy, options.problem)
        self._check()

    @property
    def _calibrating(self) -> int:
        asked = self.options.calibration_images
        return min(CALIBRATING, len(self.data.train)) if asked is None else asked

    def counted(self, widths: IntArray) -> dict[str, float]:
        """Return the counted measures of one network, its widths of shape (1, groups)."""
        return self.cost_model.counted(widths)

    def _check(self) -> None:
        if not 2 <= self._calibrating <= len(self.data.train):
            raise ConfigError(
                f"calibration_images: expected 2 to {len(self.data.train)}, all of the training part, "
                f"found {self._calibrating}"
            )

        if self.data.highest_label >= self.structure.classes:
            raise ConfigError(
                f"network: expected at least {self.data.highest_label + 1} outputs, one per label, "
                f"found {self.structure.classes}"
            )

    @cached_property
    def averages(self) -> Averages:
        """Which scores are means over images, and how these are dealt out to blocks."""
        averaged = [name for name, own in self.measures.known.items() if examples_of(own) is not None]
        return Averages.of(self.measures.averaged(averaged), {split: self.data.part(split).labels for split in Split})

    @property
    def quality(self) -> Quality:
        """The first objective that says how good a network is; the error if none does."""
        return self.measures.quality or ERROR

    def measured_errors(self, space: Space, genomes: IntArray, values: FloatArray) -> MeasuredErrors:
        """Return what answers for the errors of genomes, by what was measured of some: (n, genes) and (n, columns)."""
        column = self.measures.objective_names.index(self.quality.name)
        return measured_by(space, genomes, self.quality.minimised(values[:, column]))

    def ignored(self, path: str) -> bool:
        """Whether the config wants a layer to stay as it is."""
        return self.recipe.whole(path)

    @property
    def weights(self) -> Weights:
        """The unpruned network's state_dict."""
        if self._weights is None:
            raise ContractError("the unpruned network has no weights yet; call prepare(folder, seed) first")
        return self._weights

    def prepare(self, folder: Path, seed: int) -> None:
        """Train the unpruned network, or load it, and keep it as `weights.safetensors` in `folder`."""
        self._weights = unpruned_weights(folder, self.recipe, self.data, seed)
        self._warn_of_guessing()

    def _warn_of_guessing(self) -> None:
        """Say so before a search if nothing can be chosen by the unpruned network's scores."""
        network = unpruned_network(self.options.network, self.weights)
        layout = layout_of(network, torch.tensor(self.data.train.images[:2]))
        images = calibration_images(self.data.train, self._calibrating, "cpu", layout)
        error = error_of(network, images)
        if not isinstance(error, Failure):
            alarm = no_better_than_guessing(error, images.labels.numpy(), "training images that it was tried on")
            if alarm is not None:
                _log.warning("%s", alarm)

    def check(self, smallest: Mapping[str, float]) -> None:
        """Find out before there is a run whether network, weights and data fit, and whether all bounds can be met.

        Args:
            smallest: The counted measures of the smallest genome of all.

        Raises:
            ConfigError: They do not, or one cannot.
        """
        self.measures.check_reachable(smallest)
        self._check_counts()
        check_recipe(self.recipe, self.data)

    def _check_counts(self) -> None:
        """Law: what is counted is what is built, here of a network in which every coupling group is at half."""
        kept = [np.arange((units + 1) // 2) for units in self.structure.units]
        with seeded(0):
            built = pruned_module(network_named(self.options.network), self.structure, kept)
        counted = self.counted(np.array([[len(units) for units in kept]], dtype=np.int64))
        real = {
            "parameters": sum(parameter.numel() for parameter in built.parameters()),
            "bytes": sum(tensor.numel() * tensor.element_size() for tensor in built.state_dict().values()),
        }
        wrong = {name: (int(counted[name]), found) for name, found in real.items() if counted[name] != found}
        if wrong:
            raise ContractError(f"network: counted and built at half of all widths: {wrong}; they must be the same")

    def alarms(self, candidates: Sequence[Candidate], values: FloatArray) -> list[str]:
        """Return what is alarming in rows of the search split: scores at chance level."""
        return alarms_about(candidates, values, self.measures.columns, self.data.part(Split.SEARCH).labels)

    def bench(self, device: str) -> Bench:
        """Load network and images to `device`; for `prepare` itself as well as for measuring."""
        network = unpruned_network(self.options.network, self.weights)
        bench = Bench.load(network, self.structure, self.data, self._calibrating, device)
        return replace(bench, blocks=self.averages.blocks)

    def load(self, device: str, threads: int, precision: str = "float32") -> Loaded:
        """Load what measuring takes.

        Raises:
            ConfigError: There is no such device here.
        """
        torch.set_num_threads(threads)
        check_device(device)
        if device == "cuda":  # repeatable kernels, at full precision: the same genome must give the same floats
            torch.backends.cudnn.deterministic = True
            torch.backends.cudnn.allow_tf32 = False
        return self.loaded_on(self.bench(device), precision)

    def loaded_on(self, bench: Bench, precision: str) -> Loaded:
        """Return what measures on this bench."""
        return Loaded.of(bench, self.runner(bench, precision), self.measures, self.options.latency)

    def runner(self, bench: Bench, precision: str) -> Runner:
        """Return what puts images through variants on this bench."""
        chosen = runner_of(bench, self.estimate, self.options.cache_megabytes * MEGABYTE, precision)
        if chosen.note:
            _log.warning("%s", chosen.note)
        return chosen.runner

    def notes(self) -> list[str]:
        """Return what a person should know of the network before a search, a paragraph each."""
        with seeded(0):
            network = network_named(self.options.network).eval()
        try:
            traced(network)
        except NotFollowed as error:
            return [f"Every candidate will be run from its first layer, nothing is shared: {error}."]
        return []

    def described(self, counted: Mapping[str, float]) -> dict[str, int | float]:
        """Return counted measures as a person reads them, each with its share of the unpruned network's."""
        described: dict[str, int | float] = {}
        for name, count in counted.items():
            described |= {name: int(count), f"{name} share": round(count / self.measures.unpruned[name], 4)}
        return described

    def formats_to_write(self, loaded: Loaded, asked: Sequence[str], there: Sequence[str] = ()) -> tuple[str, ...]:
        """Return which formats are written where these were asked for, or none, and others lie there already.

        Raises:
            ConfigError: One that was asked for cannot be written here or of this network.
        """
        return chosen_formats(asked, there, loaded.bench.network, self.data.input_shape)

    def export(
        self,
        loaded: Loaded,
        variant: Variant,
        folder: Path,
        *,
        kept: Kept,
        counted: Mapping[str, float],
        described: Description,
        formats: Sequence[str],
        verify: bool,
        notes: Sequence[str] = (),
    ) -> Description:
        """Write a variant, settled already, into `folder`, loadable without emoprune.

        Raises:
            ConfigError: A format is unknown, or what it needs is not installed.
            ContractError: The reloaded network is not this one.
        """
        return export(
            folder,
            source=self.options.network,
            networks=(variant, loaded.bench.network),
            structure=self.structure,
            kept=kept,
            test=loaded.bench.images[Split.TEST],
            counted=(counted, self.measures.unpruned),
            described=described,
            formats=formats,
            verify=verify,
            notes=notes,
        )

    def fingerprint(self) -> str:
        """Return a digest of the unpruned network's structure and weights and of all images and labels."""
        digest = hashlib.sha256(json.dumps(self.structure.as_json(), sort_keys=True).encode())
        for name, array in sorted(self.weights.items()):
            digest.update(name.encode())
            digest.update(array.tobytes())
        digest.update(self.data.digest())
        return digest.hexdigest()
