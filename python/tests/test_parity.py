"""Names, arguments, shapes and return values of LtU-ILI's Python interface, item by item."""

from __future__ import annotations

import json
import pickle
import sys

import numpy as np
import pytest

import abduce as ili
from conftest import toy


def test_posterior_has_their_methods(trained, pairs, prior):
    posterior, summaries = trained
    theta, x = pairs
    assert posterior.num_components == 2 and posterior.name == "toy" and len(posterior.posteriors) == 2
    assert posterior.weights.sum() == pytest.approx(1.0)
    assert set(summaries[0]) >= {"training_log_probs", "validation_log_probs", "best_validation_log_prob", "epochs_trained"}
    assert isinstance(summaries[0]["best_validation_log_prob"], list), "one value per round, as sbi's"
    samples = posterior.sample((500,), x[0], show_progress_bars=False)
    assert samples.shape == (500, 3) and samples.dtype == np.float32
    assert samples.detach().cpu().numpy().__class__ is np.ndarray
    assert ((samples > 0) & (samples < 1)).all(), "inside the prior"
    assert posterior.sample(50, x[0]).shape == (50, 3)
    one = posterior.log_prob(theta[:5], x[0])
    assert one.shape == (5,) and np.allclose(posterior.potential(theta[:5], x[0]), one)
    assert np.allclose(posterior.log_prob(theta[:5], x[:5])[2], posterior.log_prob(theta[2], x[2]), atol=1e-6)
    assert posterior.log_prob([[1.5, 0.5, 0.5]], x[0])[0] == -np.inf
    posterior.set_default_x(x[1])
    assert posterior.sample((7,)).shape == (7, 3)
    assert np.allclose(posterior.prior.log_prob(theta[:3]), 0.0)
    assert np.allclose(posterior.prior.support, [[0, 1]] * 3)


def test_draws_follow_numpys_seed_and_their_own(trained, pairs):
    posterior, _ = trained
    _, x = pairs
    np.random.seed(5)
    first = posterior.sample((20,), x[0])
    np.random.seed(5)
    assert np.array_equal(first, posterior.sample((20,), x[0]))
    assert np.array_equal(posterior.sample((20,), x[0], seed=0), posterior.sample((20,), x[0], seed=0))
    assert not np.array_equal(posterior.sample((20,), x[0], seed=0), posterior.sample((20,), x[0], seed=1))


def test_the_posterior_is_the_exact_one(trained):
    """The toy is linear and Gaussian: its posterior is a normal cut to the box."""
    posterior, _ = trained
    truth = np.array([0.5, 0.5, 0.5])
    x = toy(truth, np.random.default_rng(7))[0]
    t = np.arange(10.0)
    design = np.stack([3 * np.sin(t), t**2, -2 * t], axis=1)
    covariance = np.linalg.inv(design.T @ design)
    mean = covariance @ design.T @ x
    rng = np.random.default_rng(8)
    exact = rng.multivariate_normal(mean, covariance, size=100_000)
    exact = exact[((exact > 0) & (exact < 1)).all(axis=1)]
    found = np.asarray(posterior.sample((20_000,), x, seed=1))
    # 1 500 simulations: means to half a standard deviation, widths to a third.
    assert np.all(np.abs(found.mean(0) - exact.mean(0)) < 0.5 * exact.std(0)), (found.mean(0), exact.mean(0))
    assert np.all(np.abs(found.std(0) / exact.std(0) - 1) < 0.35), (found.std(0), exact.std(0))


@pytest.mark.parametrize(
    ("engine", "net"),
    [("NLE", {"model": "maf", "hidden_features": 16, "num_transforms": 2}), ("NRE", {"model": "resnet", "hidden_features": 32})],
)
def test_likelihoods_and_ratios(engine, net, pairs, prior):
    theta, x = pairs
    nets = [ili.utils.load_nde_sbi(engine=engine, **net, repeats=1)]
    runner = ili.inference.InferenceRunner.load("sbi", engine, prior, nets=nets, train_args={"max_num_epochs": 15, "training_batch_size": 64})
    posterior, _ = runner(ili.dataloaders.NumpyLoader(x, theta), seed=1)
    assert posterior.engine == engine and not posterior.normalised
    samples = posterior.sample((200,), x[0], method="slice_np_vectorized", num_chains=8, thin=2, warmup_steps=40)
    assert samples.shape == (200, 3) and posterior.convergence[0]["r_hat"]
    for sampler in (
        ili.utils.EmceeSampler(posterior, num_chains=16, thin=2, burn_in=40),
        ili.utils.PyroSampler(posterior, num_chains=4, thin=1, burn_in=40, method="hmc"),
    ):
        assert sampler.sample(64, x[0], progress=False).shape == (64, 3)
    with pytest.raises(ili.SamplerError, match="direct"):
        ili.utils.DirectSampler(posterior).sample(10, x[0])


def test_sequential_runners_simulate_in_rounds(tmp_path):
    prior = ili.utils.Uniform(low=[-2, -2], high=[2, 2])
    np.save(tmp_path / "xobs.npy", np.array([0.5, -0.5]))
    calls = []

    def simulator(theta):
        calls.append(len(theta))
        return np.asarray(theta) + 0.3 * np.random.default_rng(len(calls)).standard_normal(np.shape(theta))

    files = {"x_file": "x.npy", "theta_file": "theta.npy"}
    loader = ili.dataloaders.SBISimulator(in_dir=tmp_path, xobs_file="xobs.npy", num_simulations=300, save_simulated=True, **files)
    loader.set_simulator(simulator)
    nets = [ili.utils.load_nde_sbi(engine="SNPE", model="maf", hidden_features=16, num_transforms=2)]
    args = {"num_round": 3, "training_batch_size": 32, "max_num_epochs": 40}
    runner = ili.inference.SBIRunnerSequential(prior, "SNPE", nets, args, out_dir=tmp_path / "run")
    posterior, summaries = runner(loader, seed=1)
    assert sum(calls) == 900 and len(loader) == 900 and len(summaries) == 1
    assert np.load(tmp_path / "theta.npy").shape == (900, 2)
    samples = posterior.sample((1000,), seed=1)
    assert np.allclose(samples.mean(0), [0.5, -0.5], atol=0.15) and np.allclose(samples.std(0), 0.3, atol=0.1)

    def broken(theta):
        raise ArithmeticError("the model does not exist there")

    loader.set_simulator(broken)
    with pytest.raises(ArithmeticError, match="does not exist there"):
        runner(loader, seed=1)


def test_loaders(tmp_path, pairs):
    theta, x = pairs
    for name, array in (("theta", theta), ("x", x), ("xobs", x[0]), ("thetafid", theta[0])):
        np.save(tmp_path / f"{name}.npy", array)
    (tmp_path / "data.yaml").write_text(f"in_dir: {tmp_path}\nx_file: x.npy\ntheta_file: theta.npy\nxobs_file: xobs.npy\n")
    loader = ili.dataloaders.StaticNumpyLoader.from_config(tmp_path / "data.yaml", thetafid_file="thetafid.npy")
    assert len(loader) == len(x) and np.array_equal(loader.get_all_data(), x) and np.array_equal(loader.get_all_parameters(), theta)
    assert np.array_equal(loader.get_obs_data(), x[0]) and np.array_equal(loader.get_fid_parameters(), theta[0])
    with pytest.raises(ValueError, match="rows"):
        ili.dataloaders.NumpyLoader(x=x[:5], theta=theta)
    np.save(tmp_path / "objects.npy", np.array([{}, []], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        ili.dataloaders.StaticNumpyLoader(tmp_path, "objects.npy", "theta.npy")
    batches = ili.dataloaders.TorchLoader([(x[:100], theta[:100]), (x[100:200], theta[100:200])], [(x[200:250], theta[200:250])])
    assert len(batches) == 250 and batches.split["val"][0] == 200


def test_summaries_in_netcdf(tmp_path):
    xarray = pytest.importorskip("xarray", reason="xarray is not installed")
    pytest.importorskip("scipy", reason="xarray reads netCDF through scipy")
    for row in range(4):
        xarray.DataArray(np.full((2, 3), float(row)), dims=("k", "l")).to_netcdf(tmp_path / f"pk_node{row}.nc", engine="scipy")
    (tmp_path / "theta.txt").write_text("# omega_m sigma_8 h\n" + "".join(f"{row}.1 {row}.2 {row}.3\n" for row in range(4)))
    (tmp_path / "split.json").write_text(json.dumps({"train": [0, 2], "val": [1], "test": [3]}))
    loader = ili.dataloaders.SummarizerDatasetLoader(tmp_path, "train", "pk", "theta.txt", "split.json", ["h", "omega_m"])
    assert len(loader) == 2 and np.array_equal(loader.get_all_data(), [[0.0] * 6, [2.0] * 6])
    assert np.array_equal(loader.get_all_parameters(), [[0.3, 0.1], [2.3, 2.1]]) and loader.get_obs_data() is None


def test_a_loader_with_its_own_split_trains_by_it(pairs, prior, tmp_path):
    theta, x = pairs
    loader = ili.dataloaders.TorchLoader([(x[:300], theta[:300])], [(x[300:400], theta[300:400])])
    nets = [ili.MDN(components=1, hidden=8)]
    runner = ili.SBIRunner(prior, "NPE", nets, {"max_num_epochs": 2}, out_dir=tmp_path / "run")
    runner(loader, seed=0)
    used = json.loads((tmp_path / "run" / "data.json").read_text())
    assert (used["train"], used["validation"]) == (300, 100)


def test_lampe_and_pydelfi_runners(pairs, prior):
    theta, x = pairs
    loader = ili.dataloaders.NumpyLoader(x[:300], theta[:300])
    lampe = ili.LampeRunner(prior, ili.utils.load_nde_lampe("nice", hidden_features=8), "NPE", {"max_epochs": 2})
    posterior, summaries = lampe(loader, seed=0)
    assert np.isscalar(summaries[0]["best_validation_log_prob"]) and posterior.normalised, "scalars, as lampe's"
    nets = ili.utils.load_nde_pydelfi(n_params=3, n_data=10, model="mdn", hidden_features=8, num_components=2)
    delfi = ili.DelfiRunner(prior, nets, train_args={"batch_size": 50, "epochs": 2})
    posterior, summaries = delfi(loader, seed=0)
    assert posterior.engine == "NLE" and summaries[0]["epochs_trained"]
    with pytest.warns(UserWarning, match="cuda"):
        ili.SBIRunner(prior, "NPE", nets=None, device="cuda")


def test_a_variational_sampler(pairs, prior):
    theta, x = pairs
    posterior = ili.nle(theta[:500], x[:500], prior, nets=[ili.MDN(components=1, hidden=8)], seed=0, max_num_epochs=5).train()
    draws = ili.utils.VISampler(posterior, dist="gaussian", max_num_iters=60).sample(100, x[0])
    assert draws.shape == (100, 3) and ((draws > 0) & (draws < 1)).all()


def test_runners_from_their_yaml(tmp_path, pairs):
    theta, x = pairs
    (tmp_path / "infer.yaml").write_text(
        f"""
prior: {{module: ili.utils, class: Uniform, args: {{low: [0, 0, 0], high: [1, 1, 1]}}}}
embedding_net: {{module: ili.embedding, class: FCN, args: {{n_hidden: [16, 8], act_fn: SiLU}}}}
model:
  backend: lampe
  engine: NPE
  name: demo
  nets:
    - {{model: mdn, hidden_features: 16, num_components: 3, signature: a, repeats: 2}}
    - {{model: maf, hidden_features: 16, num_transforms: 2}}
train_args: {{training_batch_size: 64, learning_rate: 0.001, max_epochs: 3}}
device: cpu
out_dir: {tmp_path}/run
"""
    )
    runner = ili.inference.InferenceRunner.from_config(tmp_path / "infer.yaml", train_args={"max_epochs": 2})
    assert isinstance(runner, ili.inference.LampeRunner) and runner.train_args["learning_rate"] == 0.001
    posterior, summaries = runner(ili.dataloaders.NumpyLoader(x, theta), seed=0)
    assert posterior.signatures == ["a", "a", ""] and summaries[0]["epochs_trained"] == 2
    (tmp_path / "val.yaml").write_text(
        f"""
out_dir: {tmp_path}/run
posterior_file: demo_posterior.pkl
labels: [a, b, c]
metrics:
  one: {{module: ili.validation.metrics, class: PlotSinglePosterior, args: {{num_samples: 200, sample_method: direct, save_samples: true, seed: 7}}}}
  cover: {{module: ili.validation.metrics, class: PosteriorCoverage, args: {{num_samples: 60, sample_method: direct, plot_list: [coverage, histogram, tarp]}}}}
  draws: {{module: ili.validation.metrics, class: PosteriorSamples, args: {{num_samples: 20, sample_method: slice_np_vectorized}}}}
"""
    )
    validation = ili.validation.ValidationRunner.from_config(tmp_path / "val.yaml")
    test = ili.dataloaders.NumpyLoader(x[:60], theta[:60])
    with pytest.warns(UserWarning):
        found = validation(test, seed=1)
    assert found["draws"].shape == (20, 60, 3) and len(found["cover"]) == 3
    stem = tmp_path / "run" / "demo_a_a_"
    for name in ("posterior_samples.npy", "single_samples.npy", "plot_single_posterior.png", "plot_coverage.png", "ranks_histogram.png", "plot_TARP.png"):
        assert stem.with_name(stem.name + name).exists(), name
    assert json.loads(stem.with_name(stem.name + "metrics.json").read_text())["n_pairs"] == 60
    validation.ensemble_mode = False
    with pytest.warns(UserWarning):
        assert len(validation(test, seed=1)["draws"]) == 3


def test_metrics_by_hand(trained, pairs, tmp_path):
    posterior, _ = trained
    theta, x = pairs
    plot = ili.validation.PlotSinglePosterior(num_samples=300, sample_method="direct", labels=["a", "b", "c"], out_dir=tmp_path)
    figure = plot(posterior=posterior, x_obs=x[0], theta_fid=theta[0], plot_kws={"fill": True})
    over = plot(posterior=posterior.posteriors[0], x_obs=x[0], theta_fid=theta[0], grid=figure, name="maf")
    assert [name for name, _ in over.abduce_draws] == ["toy", "maf"]
    assert (tmp_path / "plot_single_posterior.png").stat().st_size > 10_000
    cover = ili.validation.PosteriorCoverage(num_samples=100, sample_method="direct", plot_list=["coverage", "histogram", "predictions", "tarp", "logprob"])
    assert len(cover(posterior, x[:600], theta[:600])) == 5
    assert cover.metrics["gates"]["contraction"]["pass"]
    with pytest.raises(ili.ConfigError, match="no plot `covrage`"):
        ili.validation.PosteriorCoverage(num_samples=100, plot_list=["covrage"])


def test_without_matplotlib_figures_are_saved(trained, pairs, tmp_path, monkeypatch):
    posterior, _ = trained
    _, x = pairs
    plot = ili.validation.PlotSinglePosterior(num_samples=100, sample_method="direct")
    figure = plot(posterior, x_obs=x[0])
    assert figure.save(tmp_path / "with.svg").exists() and "<svg" in figure._repr_svg_()
    figure.savefig(tmp_path / "with.png")
    for name in ("matplotlib", "matplotlib.image", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.warns(UserWarning, match="pip install matplotlib"):
        figure = plot(posterior, x_obs=x[0])
    assert "<svg" in figure.save(tmp_path / "without.svg").read_text()
    with pytest.raises(ImportError, match="pip install matplotlib"):
        figure.matplotlib()


def test_posteriors_survive_pickle_and_the_programs_files(trained, pairs, tmp_path):
    posterior, _ = trained
    theta, x = pairs
    expected = posterior.log_prob(theta[:10], x[:10])
    again = pickle.loads(pickle.dumps(posterior))
    assert np.array_equal(again.log_prob(theta[:10], x[:10]), expected)
    posterior.save(tmp_path / "posterior.safetensors")
    assert np.array_equal(ili.load(tmp_path).log_prob(theta[:10], x[:10]), expected)


def test_priors():
    normal = ili.utils.IndependentNormal(loc=[0.0, 1.0], scale=[1.0, 2.0])
    draws = normal.sample((4000,), seed=1)
    assert draws.shape == (4000, 2) and abs(draws[:, 1].mean() - 1) < 0.15
    expected = -0.5 * (0.25 + np.log(2 * np.pi)) - 0.5 * (0.25 + np.log(8 * np.pi))
    assert normal.log_prob([[0.5, 2.0]])[0] == pytest.approx(expected)
    families = {
        "IndependentLogNormal": {"loc": [0.0], "scale": [1.0]},
        "IndependentTruncatedNormal": {"loc": [0.0], "scale": [1.0], "low": [-1.0], "high": [2.0]},
        "IndependentBeta": {"concentration1": [2.0], "concentration0": [3.0]},
        "IndependentCauchy": {"loc": [0.0], "scale": [1.0]},
        "IndependentChi2": {"df": [3.0]},
        "IndependentExponential": {"rate": [2.0]},
        "IndependentFisherSnedecor": {"df1": [4.0], "df2": [5.0]},
        "IndependentGamma": {"concentration": [2.0], "rate": [1.0]},
        "IndependentGumbel": {"loc": [0.0], "scale": [1.0]},
        "IndependentHalfCauchy": {"scale": [1.0]},
        "IndependentHalfNormal": {"scale": [1.0]},
        "IndependentLaplace": {"loc": [0.0], "scale": [1.0]},
        "IndependentPareto": {"scale": [1.0], "alpha": [2.0]},
        "IndependentStudentT": {"df": [3.0], "loc": [0.0], "scale": [1.0]},
        "IndependentVonMises": {"loc": [0.0], "concentration": [1.0]},
        "IndependentWeibull": {"scale": [1.0], "concentration": [2.0]},
        "MultivariateNormal": {"loc": [0.0, 0.0], "covariance_matrix": [[1.0, 0.5], [0.5, 1.0]]},
        "LowRankMultivariateNormal": {"loc": [0.0, 0.0], "cov_factor": [[1.0], [0.5]], "cov_diag": [1.0, 1.0]},
        "MultivariateTruncatedNormal": {"loc": [0.0, 0.0], "covariance_matrix": [[1.0, 0.5], [0.5, 1.0]], "low": [-1, -1], "high": [1, 1]},
    }
    for name, arguments in families.items():
        made = getattr(ili.utils, name)(**arguments, device="cpu")
        draws = made.sample((50,), seed=0)
        assert np.isfinite(made.log_prob(draws)).all(), name
        assert pickle.loads(pickle.dumps(made)).spec == made.spec
    joint = ili.utils.Joint(ili.utils.Uniform(0, 1), normal)
    assert joint.dimension == 3 and joint.sample((5, 2)).shape == (5, 2, 3)
    with pytest.raises(TypeError, match="low, high"):
        ili.utils.Uniform(lo=[0], high=[1])
    with pytest.raises(ili.ConfigError, match="prior"):
        ili.utils.Uniform(low=[1.0], high=[0.0])
