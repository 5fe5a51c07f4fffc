"""ABC against a conjugate model: θ ~ N(0, 1), x = θ + N(0, 0.5²), whose posterior is N(0.8 x, 0.2)."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import abduce as ili

PRIOR = {"loc": [0.0], "scale": [1.0]}
X_OBS = np.array([0.7])


class Loader:
    """A user's own object: no class of ours, only its methods."""

    def __init__(self, seed=0):
        self.rng = np.random.default_rng(seed)
        self.num_simulations = 500

    def get_obs_data(self):
        return X_OBS

    def get_all_data(self):
        return None

    def get_all_parameters(self):
        return None

    def simulate(self, proposal):
        theta = np.asarray(proposal.sample((self.num_simulations,)))
        return theta, theta + 0.5 * self.rng.standard_normal(theta.shape)


@pytest.mark.parametrize(
    ("engine", "args", "tolerance"),
    [
        # 400 accepted draws: a standard error of 1/20 of the width for the mean, of 1/28 for the width; four of them. Populations are worth fewer draws.
        ("MCABC", {"num_simulations": 20_000, "quantile": 0.02, "lra": True}, 0.2),
        ("SMCABC", {"num_simulations": 20_000, "num_particles": 400, "num_initial_pop": 1000, "epsilon_decay": 0.5, "kde": True}, 0.25),
    ],
)
def test_samples_follow_the_exact_posterior(engine, args, tolerance, tmp_path):
    prior = ili.utils.IndependentNormal(**PRIOR)
    runner = ili.inference.InferenceRunner.load("sbi", engine, prior, out_dir=tmp_path / "run", train_args=args, name="demo")
    assert isinstance(runner, ili.inference.ABCRunner)
    samples = runner(Loader(), seed=0)
    assert samples.shape[1] == 1 and len(samples) >= 300
    mean, sd = 0.8 * X_OBS[0], np.sqrt(0.2)
    assert abs(samples.mean() - mean) < tolerance * sd and abs(samples.std() / sd - 1) < tolerance
    # The run directory is the program's, and opens again.
    assert (tmp_path / "run" / "abc.json").exists()
    again = ili.load(tmp_path / "run")
    assert isinstance(again, ili.AbcPosterior) and np.array_equal(again.theta, runner.posterior.theta)
    restored = pickle.loads(pickle.dumps(again))
    assert np.array_equal(restored.sample((50,), seed=1), again.sample((50,), seed=1))
    assert again.summary["simulations"] <= args["num_simulations"] and "effective_draws" in repr(again) + again._repr_html_()
    assert "<svg" in again.corner(X_OBS, truth=[0.5]).svg
    with pytest.raises(ili.ShapeError, match="own observation"):
        again.sample((5,), X_OBS + 1)
    if "kde" in args:
        grid = np.linspace(-4, 4, 2001)[:, None]
        assert np.trapezoid(np.exp(again.log_prob(grid)), grid[:, 0]) == pytest.approx(1.0, abs=0.01)
    else:
        with pytest.raises(ili.SamplerError, match="kde"):
            again.log_prob([[0.0]])


def test_stored_simulations_and_what_a_simulator_raises():
    prior = ili.utils.IndependentNormal(**PRIOR)
    rng = np.random.default_rng(2)
    theta = rng.standard_normal((20_000, 1))
    loader = ili.dataloaders.NumpyLoader(x=theta + 0.5 * rng.standard_normal(theta.shape), theta=theta, xobs=X_OBS)
    samples = ili.ABCRunner(prior, "MCABC", {"quantile": 0.02})(loader, seed=0)
    assert abs(samples.mean() - 0.56) < 0.1 and abs(samples.std() / np.sqrt(0.2) - 1) < 0.15
    with pytest.raises(ili.ConfigError, match="quantile"):
        ili.ABCRunner(prior, "MCABC", {"num_simulations": 10})(loader)

    class Broken(Loader):
        def simulate(self, proposal):
            raise ArithmeticError("the model does not exist there")

    with pytest.raises(ArithmeticError, match="does not exist there"):
        ili.ABCRunner(prior, "MCABC", {"num_simulations": 100, "quantile": 0.1})(Broken())
    with pytest.raises(ili.ShapeError, match="observation"):
        ili.ABCRunner(prior, "MCABC", {"quantile": 0.1})(ili.NumpyLoader(theta, theta))


def test_runner_from_its_yaml(tmp_path):
    (tmp_path / "infer.yaml").write_text(
        f"""
prior: {{module: ili.utils, class: IndependentNormal, args: {{loc: [0], scale: [1]}}}}
model: {{engine: MCABC, num_workers: 4}}
train_args: {{num_simulations: 2000, eps: 0.3}}
out_dir: {tmp_path}/run
"""
    )
    runner = ili.InferenceRunner.from_config(tmp_path / "infer.yaml")
    assert isinstance(runner, ili.ABCRunner) and runner.train_args["eps"] == 0.3
    samples = runner(Loader(), seed=1)
    assert (runner.posterior.distances <= 0.3 + 1e-6).all() and len(samples) == runner.posterior.summary["accepted"]
