"""A trained network, its images and what is measured of pruned ones: what all problems of this domain share."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

from emoprune.contracts import Description, Failure, FloatArray, MeasuredErrors, Row
from emoprune.errors import ConfigError, ContractError
from emoprune.problems.compute.device import check_device, seeded
from emoprune.problems.networks.coupling.process import structure_of
from emoprune.problems.networks.coupling.structure import Kept, Structure
from emoprune.problems.networks.data.images import ImageData
from emoprune.problems.networks.evaluation.bench import Bench, unpruned_network
from emoprune.problems.networks.evaluation.chance import alarms_about, no_better_than_guessing
from emoprune.problems.networks.evaluation.cost import CostModel
from emoprune.problems.networks.evaluation.latency import LATENCY, Latency, measure_milliseconds
from emoprune.problems.networks.evaluation.measures import SCORED, SHARE, SPREAD, TIMED, Measures, scores_of
from emoprune.problems.networks.evaluation.proxies.by_name import Proxy, proxy_named
from emoprune.problems.networks.evaluation.proxies.contract import NormEstimate
from emoprune.problems.networks.evaluation.reuse.tracing import NotFollowed, traced
from emoprune.problems.networks.evaluation.runner import Runner, runner_of
from emoprune.problems.networks.evaluation.scoring import calibration_images, error_of
from emoprune.problems.networks.evaluation.sparsity_index import pq_index_of
from emoprune.problems.networks.export.export import export
from emoprune.problems.networks.export.files import FORMATS
from emoprune.problems.networks.export.formats import chosen_formats
from emoprune.problems.networks.recovery.recover import values_by_split
from emoprune.problems.networks.unpruned.by_name import data_named, network_named
from emoprune.problems.networks.unpruned.recipe import Recipe, check_recipe, unpruned_weights
from emoprune.problems.networks.variant import Variant
from emoprune.problems.storage.arrays import Weights
from emoprune.problems.storage.found_references import Methods, measuring
from emoprune.records import Candidate, Split
from emoprune.space import IntArray, Space

__all__ = ["MEGABYTE", "Loaded", "NetworkTask", "Options", "Precision", "Proxy"]

_log = logging.getLogger("emoprune")

MEGABYTE = 2**20

Precision = Literal["float32", "bfloat16", "auto"]


@dataclass(frozen=True, slots=True)
class Options:
    """What a config says about network, data and measuring; the problems' own options come on top."""

    network: str = "digits"
    data: str = "digits"
    weights: str | None = None
    epochs: int | None = None
    ignore: Sequence[str] = ()
    objectives: Sequence[str] = ("error", "macs")
    at_most: Mapping[str, float] = field(default_factory=dict)
    proxy: Proxy = "adaptive-batch-norm"
    calibration_images: int = 256
    precision: Precision = "float32"
    cache_megabytes: int = 1024
    trace_limit: float = 300.0
    image_size: int | None = None
    images_per_part: int | None = None
    latency: Latency = LATENCY


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """What `setup` loads: the bench, the runner, and what candidates are held against.

    `unpruned_outputs` are for `kl`; `unpruned` are the unpruned network's values of all measures of which a share is
    bounded, its latency measured here.
    """

    bench: Bench
    runner: Runner
    unpruned_outputs: Mapping[Split, torch.Tensor]
    unpruned: Mapping[str, float]


class NetworkTask:
    """Network, structure, data and measures of one config; made in the driver, sent to the workers.

    Raises:
        ConfigError: Something of it cannot be used.
    """

    formats: tuple[str, ...] = tuple(FORMATS)

    def __init__(self, options: Options) -> None:
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
        self.measures = Measures(
            tuple(options.objectives),
            dict(options.at_most),
            self.counted(np.array([self.structure.units], dtype=np.int64)),
        )
        self._weights: Weights | None = None
        proxy_named(options.proxy)
        self._check()

    def counted(self, widths: IntArray) -> dict[str, float]:
        """Return the counted measures of one network, its widths of shape (1, groups)."""
        model = self.cost_model
        return {
            "macs": float(model.macs(widths)[0]),
            "parameters": float(model.parameters(widths)[0]),
            "bytes": float(model.bytes(widths)[0]),
        }

    def _check(self) -> None:
        if not 2 <= self.options.calibration_images <= len(self.data.train):
            raise ConfigError(
                f"calibration_images: expected 2 to {len(self.data.train)}, all of the training part, "
                f"found {self.options.calibration_images}"
            )

        if self.data.highest_label >= self.structure.classes:
            raise ConfigError(
                f"network: expected at least {self.data.highest_label + 1} outputs, one per label, "
                f"found {self.structure.classes}"
            )

    def check_references(self, methods: Methods) -> None:
        """Refuse methods that pick from what was measured where nothing says how good outputs are.

        Raises:
            ConfigError: It names the first of them.
        """
        names, objectives = measuring(methods), self.measures.objective_names
        if names and self.measures.quality not in objectives:
            raise ConfigError(
                f"references: {names[0]!r} picks by how good outputs are, which none of the objectives "
                f"{', '.join(objectives)} says; add error, loss or kl, or leave it out"
            )

    def measured_errors(self, space: Space, genomes: IntArray, values: FloatArray) -> MeasuredErrors:
        """Return what answers for the errors of genomes, by what was measured of some: (n, genes) and (n, columns)."""
        column = self.measures.objective_names.index(self.measures.quality)
        scored = np.nan_to_num(values[:, column], nan=np.inf)
        errors = dict(zip(space.keys(genomes), scored.tolist(), strict=True))
        return lambda wanted: np.array([errors.get(key, np.inf) for key in space.keys(wanted)])

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
        images = calibration_images(self.data.train, self.options.calibration_images, "cpu")
        error = error_of(unpruned_network(self.options.network, self.weights), images)
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
        check_recipe(self.recipe, self.data)

    def alarms(self, candidates: Sequence[Candidate], values: FloatArray) -> list[str]:
        """Return what is alarming in rows of the search split: scores at chance level."""
        return alarms_about(candidates, values, self.measures.columns, self.data.part(Split.SEARCH).labels)

    def bench(self, device: str) -> Bench:
        """Load network and images to `device`; for `prepare` itself as well as for measuring."""
        network = unpruned_network(self.options.network, self.weights)
        return Bench.load(network, self.structure, self.data, self.options.calibration_images, device)

    @property
    def estimate(self) -> NormEstimate | None:
        """How batch-norm statistics are estimated anew; None keeps the sliced ones."""
        return proxy_named(self.options.proxy)

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
        runner = self.runner(bench, precision)
        outputs: dict[Split, torch.Tensor] = {}
        if "kl" in self.measures.needed:
            unpruned = Variant(bench.network, {}, adapted=False)
            outputs = {split: runner.outputs([unpruned], split)[0] for split in Split}
        return Loaded(bench, runner, outputs, self._unpruned(bench))

    def _unpruned(self, bench: Bench) -> Mapping[str, float]:
        if not any(name.removesuffix(SHARE) in TIMED for name in self.options.at_most):
            return self.measures.unpruned
        return {**self.measures.unpruned, **self.timed(bench, bench.network)}

    def timed(self, bench: Bench, network: nn.Module) -> dict[str, float]:
        """Return how long a network takes for one batch, always of the same images, and the spread of that."""
        chosen = self.options.latency
        images = torch.cat(bench.calibration.batches)
        rows = torch.arange(chosen.batch, device=images.device) % len(images)
        batch = images[rows].contiguous(memory_format=torch.channels_last)
        (timing,) = measure_milliseconds([network], batch, repeats=chosen.repeats, warm_up=chosen.warm_up)
        return {"milliseconds": timing.median, SPREAD: timing.high - timing.low}

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

    def rows(
        self, loaded: Loaded, variants: Sequence[Variant], counted: Sequence[Mapping[str, float]], split: Split
    ) -> list[Row]:
        """Return one row per variant; `counted` holds each one's counted measures."""
        needed = self.measures.needed
        outputs = loaded.runner.outputs(variants, split) if needed & {*SCORED} else [None] * len(variants)
        rows: list[Row] = []
        for variant, own, costs in zip(variants, outputs, counted, strict=True):
            rows.append(self._row(loaded, variant, own, costs, split))
        return rows

    def _row(
        self,
        loaded: Loaded,
        variant: Variant,
        outputs: torch.Tensor | None,
        counted: Mapping[str, float],
        split: Split,
    ) -> Row:
        values, needed = dict(counted), self.measures.needed
        if outputs is not None:
            if not torch.isfinite(outputs).all():
                return Failure("the network's outputs are not finite")
            labels = loaded.bench.images[split].labels
            values |= scores_of(outputs, labels, loaded.unpruned_outputs.get(split), needed)
        if "pq-index" in needed:
            values["pq-index"] = pq_index_of(variant.network)
        if needed & {*TIMED, SPREAD}:
            values |= self.timed(loaded.bench, loaded.runner.settled(variant).network)
        return self.measures.row(values, loaded.unpruned)

    def measured(self, loaded: Loaded, network: nn.Module, counted: Mapping[str, float]) -> dict[str, dict[str, float]]:
        """Return the objectives of a network in eval mode by split and name, as it is: no statistics are estimated.

        Raises:
            ContractError: Its outputs are not finite.
        """
        found, once = {}, dict(counted)
        if "pq-index" in self.measures.needed:
            once["pq-index"] = pq_index_of(network)
        if self.measures.needed & {*TIMED, SPREAD}:
            once |= self.timed(loaded.bench, network)
        for split, scored in values_by_split(network, loaded.bench).items():
            values = {**scored, **once}
            found[split] = {name: values[name] for name in self.measures.objective_names}
        return found

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
