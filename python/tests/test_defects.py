"""What LtU-ILI 0.1.5 does wrong, and this doesn't: the list of the reference, through the Python interface. The rest of it is tested in Rust."""

from __future__ import annotations

import numpy as np
import pytest

import abduce as ili


def test_2_many_draws_stay_posterior_draws(gaussian):
    few, many = (np.asarray(gaussian.sample((n,), [0.3, -0.2], seed=n)) for n in (20_000, 50_000))
    # Standard errors of the widths: 0.5 %.
    assert np.all(np.abs(many.std(0) / few.std(0) - 1) < 0.03)
    # The posterior is a normal of width 0.3 cut to the box; 3 000 simulations fix widths to some per cent.
    assert np.all(np.abs(many.std(0) / [0.289, 0.295] - 1) < 0.15)
    edge = gaussian.sample((4000,), [1.25, 1.25], seed=1)
    # The exact mean of N(1.25, 0.3²) cut at 1 is 0.865, and the prior's 0; the corner is where a hundredth of the 3 000 simulations are.
    assert np.all(np.abs(edge.mean(0) - 0.865) < 0.12), edge.mean(0)


def test_3_densities_of_ensembles_are_normalised(gaussian):
    # θ = tanh s: nodes crowd at the edges, where the density of a cut posterior is steep.
    s = np.linspace(-7, 7, 351)
    axis, measure = np.tanh(s), (s[1] - s[0]) / np.cosh(s) ** 2
    grid, weight = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2), np.outer(measure, measure).ravel()
    for x in ([0.1, 0.2], [1.2, -1.1]):
        assert np.sum(weight * np.exp(gaussian.log_prob(grid, x))) == pytest.approx(1.0, abs=0.01)
        parts = [np.exp(member.log_prob(grid[:50], x)) for member in gaussian.posteriors]
        mixture = np.log(sum(w * part for w, part in zip(gaussian.weights, parts)))
        assert np.allclose(mixture, gaussian.log_prob(grid[:50], x), atol=1e-5), "Σ w q, not Σ w log q"
    assert gaussian.log_prob([[1.01, 0.0]], [0.9, 0.0])[0] == -np.inf


def test_7_draws_are_shuffled(gaussian):
    draws = np.asarray(gaussian.sample((20_000,), [0.9, 0.9], seed=2))
    first, second = draws[:10_000], draws[10_000:]
    error = draws.std(0) * np.sqrt(2 / 10_000)
    assert np.all(np.abs(first.mean(0) - second.mean(0)) < 5 * error)


def test_9_seed_zero_is_a_seed(tmp_path):
    theta, x = ili.simulate("two_moons", 300, seed=0)
    prior = ili.Uniform([-1, -1], [1, 1])
    for name in ("a", "b"):
        runner = ili.SBIRunner(prior, "NPE", [ili.MDN(components=2, hidden=8)], {"max_num_epochs": 2}, out_dir=tmp_path / name)
        runner(ili.NumpyLoader(x, theta), seed=0)
    assert (tmp_path / "a/posterior.safetensors").read_bytes() == (tmp_path / "b/posterior.safetensors").read_bytes()


def test_10_11_15_16_validation(gaussian, tmp_path):
    rng = np.random.default_rng(9)
    theta = rng.uniform(-1, 1, (300, 2))
    x = theta + 0.3 * rng.standard_normal(theta.shape)
    theta_before, x_before = theta.copy(), x.copy()
    metric = ili.PosteriorCoverage(["coverage", "tarp", "logprob"], num_samples=100, sample_method="direct", labels=[r"$\alpha$", r"$\beta$"], out_dir=tmp_path)
    metric(gaussian, x, theta)
    assert np.array_equal(theta, theta_before) and np.array_equal(x, x_before)
    written = np.load(tmp_path / "true_logprobs.npy")
    assert np.array_equal(written, gaussian.log_prob(theta, x)), "the exact density"
    assert (tmp_path / "metrics.json").exists() and metric.metrics["n_pairs"] == 300
    with pytest.raises(ili.ShapeError, match="1 labels for 2"):
        ili.PosteriorCoverage(["coverage"], num_samples=100, labels=["a"])(gaussian, x, theta)


def test_12_chains_of_many_observations_in_one_call(pairs, prior):
    theta, x = pairs
    likelihood = ili.nle(theta[:500], x[:500], prior, nets=[ili.MDN(components=1, hidden=8)], seed=0, max_num_epochs=5).train()
    draws = likelihood.sample_batched((50,), x[:100], seed=1, num_chains=10, warmup_steps=20, thin=1)
    assert draws.shape == (50, 100, 3) and len(likelihood.convergence) == 100
