"""Networks as people have them: wrapped, masked, normed, scripted; and what is left when that is taken away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm, weight_norm

from emoprune.errors import ConfigError
from emoprune.problems.networks.channels.problem import Channels
from emoprune.problems.networks.unpruned.by_name import network_named
from emoprune.problems.networks.unpruned.plain import folded, unwrapped
from emoprune.problems.networks.unpruned.weights import weights_of


def plain() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.Flatten(), nn.Linear(64, 10))


def masked() -> nn.Sequential:
    network = plain()
    prune.l1_unstructured(network[2], "weight", 0.4)
    prune.random_unstructured(network[2], "bias", 0.5)
    return network


def weight_normed() -> nn.Sequential:
    network = plain()
    network[2] = weight_norm(network[2])  # the older form, which many a checkpoint still has
    return network


def spectrally_normed() -> nn.Sequential:
    network = plain()
    network[2] = spectral_norm(network[2])
    return network


def parametrised() -> nn.Sequential:
    network = plain()
    parametrizations.weight_norm(network[2])
    parametrizations.orthogonal(network[4])
    return network


COMPUTED = [masked, weight_normed, spectrally_normed, parametrised]


@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated:FutureWarning")  # the older form is what is tried
@pytest.mark.parametrize("make", COMPUTED)
def test_weights_that_are_computed_from_others_are_stored_as_they_are_used(make: Callable[[], nn.Module]) -> None:
    network, images = make().eval(), torch.rand(3, 1, 8, 8)
    before = network(images)
    found = folded(network)
    assert torch.allclose(found(images), before, atol=1e-6)
    assert weights_of(found).keys() == plain().state_dict().keys()


def test_a_mask_stays_as_zeros() -> None:
    network = masked()
    kept = int(network[2].weight_mask.sum())
    assert int((folded(network)[2].weight != 0).sum()) == kept  # type: ignore[index]  # it is a Sequential


def test_a_plain_network_is_left_alone() -> None:
    network = plain()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    assert folded(unwrapped(network)) is network
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in state.items())


def test_wrappers_are_taken_off() -> None:
    network = plain()
    assert unwrapped(nn.DataParallel(nn.DataParallel(network))) is network


@pytest.mark.slow  # torch takes seconds to import its compiler
@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")  # what torch imports to compile says so
def test_what_torch_compiles_is_taken_apart_again() -> None:
    network = plain()
    assert unwrapped(torch.compile(network)) is network  # type: ignore[arg-type]  # torch types it as any function


@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")  # torch says so of scripting itself
def test_a_scripted_network_is_refused_by_name_and_told_what_to_return() -> None:
    with pytest.raises(ConfigError, match=r"network: it is a ScriptModule.*before torch\.jit\.script"):
        unwrapped(torch.jit.script(plain()))
    with pytest.raises(ConfigError, match="its module '1' is a ScriptModule"):
        unwrapped(nn.Sequential(nn.Flatten(), torch.jit.script(nn.Linear(64, 2))))


@pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated:FutureWarning")  # as above
@pytest.mark.parametrize("of", [weight_normed, plain])
def test_a_checkpoint_may_be_of_the_normed_network_or_of_the_plain_one(
    of: Callable[[], nn.Module], tmp_path: Path
) -> None:
    torch.manual_seed(1)
    author = of()
    with torch.no_grad():
        for value in author.state_dict().values():
            value.mul_(0.9)
    torch.save(author.state_dict(), tmp_path / "weights.pt")
    problem = Channels(
        network=f"{__name__}:weight_normed", data="digits", weights=str(tmp_path / "weights.pt"), criterion="l1"
    )
    problem.prepare(tmp_path / "run", 1)
    found = network_named(f"{__name__}:weight_normed")
    weights = problem._task.weights
    found.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    images = torch.rand(2, 1, 8, 8)
    assert torch.allclose(found.eval()(images), author.eval()(images), atol=1e-6)


def few() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    images, labels = torch.rand(150, 1, 8, 8), torch.arange(150) % 10
    return {"train": (images[:90], labels[:90]), "test": (images[90:], labels[90:])}


def test_fewer_training_images_than_usual_are_all_taken(tmp_path: Path) -> None:
    problem = Channels(network=f"{__name__}:plain", data=f"{__name__}:few", criterion="l1", epochs=1)
    problem.prepare(tmp_path, 1)
    assert problem.references()
