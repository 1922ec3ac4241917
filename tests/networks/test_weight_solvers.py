"""Saliencies that solve something: regression by transport, curvature of what is left, draws by a score."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from emoprune.errors import ConfigError
from emoprune.problems.networks.calibration.wasserstein import EntropicRegression, transport
from emoprune.problems.networks.layers.repairs.contract import ThinnedLayer
from emoprune.problems.networks.layers.repairs.swap import SwapUpdate
from emoprune.problems.networks.layers.saliencies.contract import ScoredLayer
from emoprune.problems.networks.layers.saliencies.gradual import in_stages
from emoprune.problems.networks.layers.saliencies.mfac import MFACWeights
from emoprune.problems.networks.layers.saliencies.sketch import Sketch, sketch_error, sketched
from emoprune.problems.networks.layers.saliencies.swap import Swap

DOUBLE = torch.float64


def regression(entropy: float, damping: float = 0.1) -> tuple[EntropicRegression, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    gradients = torch.randn((7, 5), generator=generator, dtype=DOUBLE)
    weight, other = torch.randn((2, 5), generator=generator, dtype=DOUBLE)
    return EntropicRegression(gradients, weight, entropy, damping), other


def test_a_plan_that_keeps_each_sample_to_itself_gives_the_gradient_of_linear_regression() -> None:
    own, other = regression(0.0)
    plan = own.plan(other)
    assert torch.equal(plan, torch.eye(7, dtype=DOUBLE) / 7)
    linear = own.gradients.T @ (own.gradients @ (other - own.weight)) + 7 * 0.1 * (other - own.weight)
    torch.testing.assert_close(own.gradient(other, plan), linear, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("entropy", [0.0, 0.1, 2.0, float("inf")])
def test_the_gradient_is_what_finite_differences_say(entropy: float) -> None:
    own, other = regression(entropy)
    plan, step = own.plan(other), 1e-6
    for place, found in enumerate(own.gradient(other, plan).tolist()):
        moved = torch.zeros(5, dtype=DOUBLE)
        moved[place] = step
        numeric = (own.loss(other + moved, plan) - own.loss(other - moved, plan)) / (2 * step)
        assert numeric == pytest.approx(found, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("entropy", [0.05, 1.0, float("inf")])
def test_a_plan_has_uniform_marginals_and_little_entropy_keeps_near_samples_together(entropy: float) -> None:
    values = torch.tensor([0.0, 0.1, 5.0, 5.1], dtype=DOUBLE)
    plan = transport((values.unsqueeze(1) - values).square(), entropy)
    torch.testing.assert_close(plan.sum(dim=0), torch.full((4,), 0.25, dtype=DOUBLE))
    torch.testing.assert_close(plan.sum(dim=1), torch.full((4,), 0.25, dtype=DOUBLE), rtol=1e-3, atol=1e-4)
    apart = float(plan[:2, 2:].sum())
    assert apart < 0.01 if entropy == 0.05 else apart > 0.03


def test_moving_what_stays_never_raises_the_objective_of_linear_regression() -> None:
    own, _ = regression(0.0)
    staying = torch.tensor([True, False, True, True, False])
    start = own.weight * staying
    losses = [own.loss(own.moved(start, staying, steps), own.plan(start)) for steps in (0, 1, 2, 5, 50)]
    assert all(after <= before + 1e-12 for before, after in pairwise(losses))
    exact = start.clone()
    kept = own.gradients[:, staying]
    among = kept.T @ kept + 7 * 0.1 * torch.eye(3, dtype=DOUBLE)
    exact[staying] = torch.linalg.solve(among, kept.T @ own.gradients @ own.weight + 7 * 0.1 * own.weight[staying])
    torch.testing.assert_close(own.moved(start, staying, 2000), exact, rtol=1e-5, atol=1e-6)


def test_the_update_keeps_zeros_and_without_gradients_changes_nothing() -> None:
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn((1, 3, 4), generator=generator, dtype=DOUBLE)
    kept, even = weight.abs() > 0.5, torch.eye(4, dtype=DOUBLE).unsqueeze(0)
    gradients = torch.randn((5, 1, 3, 4), generator=generator, dtype=DOUBLE)
    found = SwapUpdate()(ThinnedLayer("a", weight, kept, even, None, gradients))
    assert not found[~kept].any()
    assert not torch.equal(found, weight * kept)
    assert torch.equal(SwapUpdate()(ThinnedLayer("a", weight, kept, even)), weight * kept)


# ---- stages


def layer(weight: torch.Tensor, samples: torch.Tensor) -> ScoredLayer:
    return ScoredLayer("a", weight, torch.Generator().manual_seed(1), {"sample_gradients": samples})


def test_stages_give_one_order_in_which_what_goes_first_scores_least() -> None:
    weight = torch.arange(1.0, 21.0, dtype=DOUBLE)
    scores = in_stages(weight, 4, 0.1, lambda now, left, _: (now * left, now))
    assert torch.equal(torch.argsort(scores), torch.arange(20))
    assert len(scores.unique()) == 20


@pytest.mark.parametrize("saliency", [Swap(stages=3), MFACWeights(stages=3)])
def test_weights_whose_gradients_are_zero_or_that_are_zero_still_get_finite_scores(saliency: Swap) -> None:
    weight = torch.randn((4, 6), generator=torch.Generator().manual_seed(0))
    weight[0] = 0
    assert torch.isfinite(saliency(layer(weight, torch.zeros(5, 4, 6)))).all()


def test_recomputed_curvature_keeps_one_of_two_weights_that_say_the_same() -> None:
    generator = torch.Generator().manual_seed(0)
    samples = torch.randn((40, 1, 6), generator=generator)
    samples[:, :, 1] = samples[:, :, 0]  # the second says what the first says
    weight = torch.tensor([[1.0, 0.9, 1.0, 1.0, 1.0, 1.0]])
    # Each of the two alone costs nothing, both together as much as any other does.
    once = MFACWeights(stages=1, least=0.6)(layer(weight, samples))[0]
    again = MFACWeights(stages=4, least=0.6)(layer(weight, samples))[0]
    assert set(torch.argsort(once)[:2].tolist()) == {0, 1}
    assert int(torch.argsort(again)[0]) == 1
    assert int(torch.argsort(again, descending=True)[0]) == 0  # it carries both by then


# ---- sketches


def test_the_variance_of_a_sketch_is_what_the_formula_says() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(6, 30)) * np.exp(rng.normal(size=30))
    weight = rng.normal(size=30)
    best = np.abs(weight) * np.sqrt(np.square(inputs).sum(axis=0))
    errors = {}
    for name, chances in (("best", best / best.sum()), ("even", np.full(30, 1 / 30))):
        drawn = np.array([inputs @ sketched(weight, chances, 10, rng) for _ in range(6000)])
        found = np.square(drawn - inputs @ weight).sum(axis=1).mean()
        errors[name] = sketch_error(inputs, weight, chances, 10)
        assert found == pytest.approx(errors[name], rel=0.1)
        assert np.abs(drawn.mean(axis=0) - inputs @ weight).max() < 5 * np.sqrt(errors[name] / 6000)  # unbiased
    assert errors["best"] < errors["even"]


def test_a_sketch_draws_each_weight_first_as_often_as_its_score_says() -> None:
    weight = torch.tensor([[4.0, 3.0, 2.0, 1.0]])
    generator, saliency = torch.Generator().manual_seed(0), Sketch(score="magnitude")
    first = [int(saliency(ScoredLayer("a", weight, generator)).argmax()) for _ in range(3000)]
    shares = np.bincount(first, minlength=4) / 3000
    assert np.abs(shares - np.array([0.4, 0.3, 0.2, 0.1])).max() < 0.03


def test_without_temperature_a_sketch_keeps_the_largest() -> None:
    weight = torch.randn((3, 5), generator=torch.Generator().manual_seed(0))
    found = Sketch(score="magnitude", temperature=0.0)(ScoredLayer("a", weight, torch.Generator()))
    assert torch.equal(found.flatten().argsort(), weight.abs().flatten().argsort())


def test_options_of_no_use_are_refused() -> None:
    with pytest.raises(ConfigError, match="temperature of 0 or more"):
        Sketch(temperature=-1)
    with pytest.raises(ConfigError, match="least between 0 and 1"):
        Swap(least=1.0)
    with pytest.raises(ConfigError, match="stages of 1 or more"):
        MFACWeights(stages=0)
    with pytest.raises(ConfigError, match="entropy and damping of 0 or more"):
        SwapUpdate(damping=-1)
