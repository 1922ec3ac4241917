"""A network written down as code makes the same network again, with torch alone."""

from __future__ import annotations

import ast
from collections import OrderedDict

import pytest
import torch
from exports_for_tests import TEST, halved_own, halved_zoo
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, fx, nn
from torch.nn import functional
from zoo_for_tests import SOUND, zoo

from emoprune.problems.networks.export.definition.definition import CLASS, Definition, NotDefinable, definition_of
from emoprune.problems.networks.export.definition.layers import expression
from emoprune.problems.networks.unpruned.built_in.catalogue import NETWORKS

IMAGES = TEST.batches[0][:8]
ALLOWED = {"torch", "torch.nn", "collections", "math", "operator"}


def made_from(definition: Definition) -> nn.Module:
    space: dict[str, object] = {"__name__": "model"}
    exec(definition.source, space)  # noqa: S102  # the very code that is tested
    kind = space[CLASS]
    assert isinstance(kind, type)
    network = kind()
    assert isinstance(network, nn.Module)
    network.load_state_dict(dict(definition.state), strict=True)
    return network.eval()


def outputs(network: nn.Module, images: Tensor = IMAGES) -> Tensor:
    with torch.no_grad():
        found: Tensor = network(images)
    return found


def imported(source: str) -> set[str]:
    nodes = list(ast.walk(ast.parse(source)))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}


@pytest.mark.parametrize("name", SOUND)
def test_a_pruned_network_is_made_again_from_its_code_alone(name: str) -> None:
    pruned = halved_zoo(name).pruned
    definition = definition_of(pruned, IMAGES, f"Pruned from {name}.")
    again = made_from(definition)
    assert imported(definition.source) <= ALLOWED
    assert definition.unread == ()
    assert {key: each.shape for key, each in again.state_dict().items()} == {
        key: each.shape for key, each in pruned.state_dict().items()
    }
    for count in (1, 5):  # no batch size is written into it
        torch.testing.assert_close(outputs(again, IMAGES[:count]), outputs(pruned, IMAGES[:count]))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_built_in_network_can_be_written_down(name: str) -> None:
    with torch.random.fork_rng(devices=[]):
        network = NETWORKS[name].make().eval()
    size = {"digits": 8, "lenet5-mini": 32}.get(name, 28)
    assert definition_of(network, torch.zeros(2, 1, size, size), "It.").unread == ()


class Standardised(nn.Conv2d):
    """A layer of a user's own, which reads its weight in its own way."""

    def forward(self, images: Tensor) -> Tensor:
        return functional.conv2d(images, self.weight - self.weight.mean(), self.bias)


class Own(nn.Sequential):
    """A sequence by another name."""


class Various(nn.Module):
    """What networks hold besides layers."""

    def __init__(self) -> None:
        super().__init__()
        self.add_module("0", nn.Conv2d(1, 8, 3, stride=(2, 1)))
        self.register_buffer("mean", torch.randn(8, 1, 1))
        self.register_buffer("passing", torch.randn(8, 1, 1), persistent=False)
        self.plain = torch.randn(8, 1, 1)
        self.lists = nn.ModuleList([nn.ModuleList([Standardised(8, 8, 1), nn.ReLU(inplace=True)]), nn.ModuleList()])
        self.own = Own(nn.Conv2d(8, 8, 1), nn.Hardswish(inplace=True))
        self.named = nn.Sequential(OrderedDict(conv=nn.Conv2d(8, 8, 1), act=nn.SiLU()))
        self.scales = nn.ParameterList([nn.Parameter(torch.randn(8, 1, 1)) for _ in range(2)])
        self.mapped = nn.ModuleDict({"a-b": nn.LeakyReLU(0.2), "c": nn.GELU(approximate="tanh")})
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.only_in_training = nn.Linear(3, 3)
        self.head = nn.Linear(8, 10)

    def forward(self, images: Tensor, mask: Tensor | None = None, scale: float = 1.0) -> Tensor:
        features = getattr(self, "0")(images)
        features += self.mean
        features = features - self.passing * self.plain
        if mask is not None:
            features = features * mask
        for layers in self.lists:
            for layer in layers:
                features = layer(features)
        features = self.own(features) * scale + self.named(features)
        features = features * self.scales[0] + self.scales[1]
        batch, channels, height, width = features.shape
        features = self.mapped["c"](self.mapped["a-b"](features))
        features = functional.interpolate(features, size=(height, width // 2), mode="bilinear")
        features = features + torch.arange(8).view(8, 1, 1) / channels**0.5
        features = functional.dropout(features, 0.5, self.training)
        tokens = features.reshape(batch, channels, -1).transpose(1, 2)
        attended = self.attention(tokens, tokens, tokens, need_weights=False)[0].mean(1)
        return self.head(torch.where(attended > float("inf"), attended, attended.clamp(min=-3)))


def test_buffers_bare_parameters_constants_lists_and_layers_of_a_user_are_written_down() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = Various().eval()
    definition = definition_of(network, IMAGES, 'A network "with quotes" and \\ in its name.')
    again = made_from(definition)
    torch.testing.assert_close(outputs(again), outputs(network))
    assert definition.unread == ("only_in_training.bias", "only_in_training.weight")
    assert set(definition.state) - set(network.state_dict()) == {"_tensor_constant0", "_tensor_constant1"}


class Doubled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.conv(images) * 2


def test_a_sequence_of_blocks_of_a_users_own_is_written_down() -> None:
    inner = nn.Sequential(nn.ReLU(), nn.Sequential(Centred(), nn.AdaptiveAvgPool2d(1)))
    network = nn.Sequential(Doubled(), inner, nn.Flatten(), nn.Linear(4, 3)).eval()
    definition = definition_of(network, IMAGES, "A network.")
    assert torch.equal(outputs(made_from(definition)), outputs(network))


class Centred(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return features - features.mean((2, 3), keepdim=True)


def test_the_code_reads_like_a_person_wrote_it() -> None:
    source = definition_of(zoo("mobilenet"), IMAGES, "Small.").source
    assert "self.features[1].layers = nn.Sequential(\n" in source
    assert "nn.Conv2d(24, 24, 3, padding=1, groups=24, bias=False)," in source
    assert "x = x + x2\n" in source
    assert "None\n" not in source.partition("def forward")[2]


def test_few_variables_are_used_again_so_that_memory_is_freed() -> None:
    source = definition_of(zoo("resnet"), IMAGES, "Small.").source
    names = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
    assert {name for name in names if name.startswith("x")} == {"x", "x2"}


class Flow(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.head = nn.Linear(4, 10)

    def forward(self, images: Tensor) -> Tensor:
        features = self.conv(images)
        if features.sum() > 0:
            features = features * 2
        return self.head(features.mean((2, 3)))


class Drawing(Flow):
    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.conv(images).mean((2, 3)) + torch.randn(4))


class OneBatch(Flow):
    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.conv(images).mean((2, 3))) + torch.zeros(len(IMAGES), 10)


@fx.wrap
def left_alone(features: Tensor) -> Tensor:
    return features * 2


class Calling(Flow):
    def forward(self, images: Tensor) -> Tensor:
        return self.head(left_alone(self.conv(images)).mean((2, 3)))


class Kept(Flow):
    def __init__(self) -> None:
        super().__init__()
        self.add_module("class", nn.ReLU())

    def forward(self, images: Tensor) -> Tensor:
        return self.head(getattr(self, "class")(self.conv(images)).mean((2, 3)))


class Remembering(nn.ReLU):
    """Not torch's own, and not to be traced either."""

    def forward(self, images: Tensor) -> Tensor:
        return images if bool(images.min() > 0) else images.clamp(min=0)


class Holding(Flow):
    def __init__(self) -> None:
        super().__init__()
        self.act = Remembering()

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.act(self.conv(images)).mean((2, 3)))


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        (Flow, "cannot be traced.*control flow"),
        (Holding, "cannot be traced.*control flow"),
        (Drawing, "gives other outputs, off by"),
        (OneBatch, "gives other outputs, off by inf"),
        (Calling, "marked to be left alone"),
        (Kept, "a name that Python keeps for itself"),
    ],
)
def test_what_cannot_be_written_down_is_refused_with_the_reason(kind: type[nn.Module], complaint: str) -> None:
    with pytest.raises(NotDefinable, match=complaint):
        definition_of(kind().eval(), IMAGES, "It.")


def test_a_layer_whose_settings_were_changed_afterwards_is_refused() -> None:
    layer = nn.Conv2d(3, 6, 3)
    layer.weight = nn.Parameter(torch.zeros(5, 3, 3, 3))
    with pytest.raises(NotDefinable, match="its Conv2d cannot be made again"):
        expression(layer)


def test_a_hook_on_a_layer_stays_part_of_the_forward() -> None:
    network = zoo("resnet")
    network.get_submodule("head").register_forward_hook(lambda module, given, found: found * 2)
    again = made_from(definition_of(network, IMAGES, "Hooked."))
    torch.testing.assert_close(outputs(again), outputs(network))
    torch.testing.assert_close(outputs(again), 2 * outputs(zoo("resnet")))


def test_a_sliced_layer_says_its_new_widths() -> None:
    halved = halved_own(nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 26 * 26, 10)))
    assert expression(halved.pruned) == (
        "nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(2028, 10))"
    )


pairs = st.one_of(st.integers(1, 3), st.tuples(st.integers(1, 3), st.integers(1, 3)))


@st.composite
def convolutions(draw: st.DrawFn) -> nn.Conv2d:
    groups, padding = draw(st.integers(1, 2)), draw(st.one_of(pairs, st.sampled_from(["same", "valid"])))
    return nn.Conv2d(
        groups * draw(st.integers(1, 3)),
        groups * draw(st.integers(1, 3)),
        draw(pairs),
        stride=1 if padding == "same" else draw(pairs),
        padding=padding,
        dilation=draw(pairs),
        groups=groups,
        bias=draw(st.booleans()),
        padding_mode=draw(st.sampled_from(["zeros", "reflect", "circular"])),
        device="meta",
    )


@given(convolutions())
@settings(max_examples=60, deadline=None)
def test_any_convolution_is_made_again(layer: nn.Conv2d) -> None:
    again = eval(expression(layer), {"nn": nn})  # noqa: S307  # the very expression that is tested
    assert repr(again) == repr(layer)
    assert [each.shape for each in again.parameters()] == [each.shape for each in layer.parameters()]


LAYERS = [
    nn.BatchNorm2d(4, eps=1e-3, momentum=None),
    nn.BatchNorm2d(4, affine=False, track_running_stats=False),
    nn.GroupNorm(2, 4, affine=False),
    nn.LayerNorm([4, 3], elementwise_affine=False),
    nn.LayerNorm(4, bias=False),
    nn.InstanceNorm2d(4, affine=True),
    nn.ConvTranspose2d(4, 2, 3, stride=2, output_padding=1),
    nn.MaxPool2d((3, 2), stride=1, ceil_mode=True),
    nn.AvgPool2d(2, count_include_pad=False, divisor_override=3),
    nn.AdaptiveAvgPool2d((None, 2)),
    nn.Hardtanh(-2.0, 3.0, inplace=True),
    nn.PReLU(4),
    nn.Upsample(scale_factor=(2.0, 3.0), mode="bilinear"),
    nn.PixelShuffle(2),
    nn.ZeroPad2d((1, 2, 0, 1)),
    nn.Unflatten(1, (2, 2)),
    nn.Softmax(dim=1),
    nn.Bilinear(2, 3, 4, bias=False),
]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_a_layer_is_made_again_with_its_settings(layer: nn.Module) -> None:
    again = eval(expression(layer), {"nn": nn})  # noqa: S307  # the very expression that is tested
    assert repr(again) == repr(layer)
    assert list(again.state_dict()) == list(layer.state_dict())
