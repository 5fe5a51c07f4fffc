"""Every class and function of LtU-ILI's interface under its name and path, with its arguments in their order and with their defaults."""

from __future__ import annotations

import importlib
import inspect

import pytest

import abduce as ili

# Path: the signature, as the notebooks of LtU-ILI use it. `...` at the end: further arguments of ours may follow.
SIGNATURES = {
    "dataloaders.NumpyLoader": "x, theta, xobs=None, thetafid=None",
    "dataloaders.StaticNumpyLoader": "in_dir, x_file, theta_file, xobs_file=None, thetafid_file=None",
    "dataloaders.SBISimulator": "in_dir, xobs_file, num_simulations, simulator=None, save_simulated=False, x_file=None, theta_file=None, thetafid_file=None",
    "dataloaders.SummarizerDatasetLoader": "in_dir, stage, x_root, theta_file, train_test_split_file, param_names, xobs_file=None, thetafid_file=None",
    "dataloaders.TorchLoader": "train_loader, val_loader=None, xobs=None, thetafid=None",
    "dataloaders.SBISimulator.simulate": "self, proposal",
    "dataloaders.SBISimulator.set_simulator": "self, simulator",
    "inference.InferenceRunner.load": "backend, engine, prior, out_dir=None, device='cpu', name='', **kwargs",
    "inference.InferenceRunner.from_config": "config_path, **overrides",
    "inference.SBIRunner": "prior, engine, nets, train_args={}, out_dir=None, device='cpu', proposal=None, name='', signatures=None",
    "inference.SBIRunnerSequential": "prior, engine, nets, train_args={}, out_dir=None, device='cpu', proposal=None, name='', signatures=None",
    "inference.LampeRunner": "prior, nets, engine='NPE', train_args={}, out_dir=None, device='cpu', proposal=None, name='', signatures=None",
    "inference.ABCRunner": "prior, engine, train_args={}, out_dir=None, device='cpu', name=''",
    "inference.DelfiRunner": "prior, config_ndes, engine='NLE', engine_kwargs={}, train_args={}, out_dir=None, device='cpu', name=''",
    "inference.SBIRunner.__call__": "self, loader, seed=None",
    "utils.load_nde_sbi": "engine, model, embedding_net=None, repeats=1, **model_args",
    "utils.load_nde_lampe": "model, embedding_net=None, device='cpu', x_normalize=True, theta_normalize=True, engine='NPE', repeats=1, **model_args",
    "utils.load_nde_pydelfi": "n_params, n_data, model, index=0, engine='NLE', **model_args",
    "utils.ndes_pt.load_nde_sbi": "engine, model, embedding_net=None, repeats=1, **model_args",
    "embedding.FCN": "n_hidden, act_fn='SiLU', n_input=None",
    "embedding.fcn.FCN": "n_hidden, act_fn='SiLU', n_input=None",
    "utils.samplers.EmceeSampler": "posterior, num_chains=-1, thin=10, burn_in=100",
    "utils.samplers.PyroSampler": "posterior, num_chains=-1, thin=10, burn_in=100, method='slice_np_vectorized'",
    "utils.samplers.DirectSampler": "posterior",
    "utils.samplers.VISampler": "posterior, dist='maf', **train_kwargs",
    "utils.samplers.EmceeSampler.sample": "self, nsteps, x, progress=False",
    "validation.ValidationRunner": "posterior, metrics, out_dir, ensemble_mode=True, name='', signatures=[]",
    "validation.runner.ValidationRunner.from_config": "config_path, **overrides",
    "validation.PlotSinglePosterior": (
        "num_samples, sample_method='emcee', sample_params={}, labels=None, out_dir=None, save_samples=False, seed=None"
    ),
    "validation.metrics.PlotSinglePosterior.__call__": (
        "self, posterior, x=None, theta=None, x_obs=None, theta_fid=None, signature='', lower=None, upper=None, plot_kws={}, grid=None, name=None, **grid_kws"
    ),
    "validation.PosteriorSamples": "num_samples, sample_method='emcee', sample_params={}, labels=None, out_dir=None",
    "validation.metrics.PosteriorSamples.__call__": "self, posterior, x, theta=None, signature='', x_obs=None, theta_fid=None",
    "validation.PosteriorCoverage": "plot_list, save_samples=False, **arguments",
    "validation.metrics.PosteriorCoverage.__call__": (
        "self, posterior, x, theta, x_obs=None, theta_fid=None, signature='', references='random', metric='euclidean', num_alpha_bins=None, "
        "num_bootstrap=100, norm=True, bootstrap=True"
    ),
    "Posterior.log_prob": "self, theta, x",
    "Posterior.potential": "self, theta, x",
    "Posterior.set_default_x": "self, x",
}

PRIORS = """Uniform IndependentUniform IndependentNormal IndependentLogNormal IndependentTruncatedNormal IndependentBeta IndependentCauchy IndependentChi2
IndependentExponential IndependentFisherSnedecor IndependentGamma IndependentGumbel IndependentHalfCauchy IndependentHalfNormal IndependentLaplace
IndependentPareto IndependentStudentT IndependentVonMises IndependentWeibull MultivariateNormal LowRankMultivariateNormal
MultivariateTruncatedNormal""".split()


def found(path: str):
    value = ili
    for name in path.split("."):
        value = getattr(value, name)
    return value


@pytest.mark.parametrize("path", SIGNATURES)
def test_signature(path):
    expected = inspect.signature(eval(f"lambda {SIGNATURES[path]}: None"))  # noqa: S307
    own = list(inspect.signature(found(path)).parameters.values())
    wildcard = any(p.kind is p.VAR_KEYWORD for p in own)
    positional = [p for p in own if p.kind in (p.POSITIONAL_OR_KEYWORD, p.POSITIONAL_ONLY)]
    for position, theirs in enumerate(expected.parameters.values()):
        if theirs.kind is theirs.VAR_KEYWORD:
            assert wildcard, f"{path} takes any keyword"
            continue
        assert position < len(positional), f"{path} lacks {theirs.name}"
        ours = positional[position]
        assert ours.name == theirs.name, f"{path}: argument {position} is {ours.name}"
        # A mutable default stands for "none given", and what they require we may have a default for.
        given = None if theirs.default in ({}, []) else theirs.default
        assert theirs.default is theirs.empty or ours.default == given, f"{path}: {ours.name}"


@pytest.mark.parametrize("name", PRIORS)
def test_prior_is_where_notebooks_look_for_it(name):
    assert getattr(ili.utils, name) is getattr(ili, name) is getattr(ili.utils.distributions_pt, name)


@pytest.mark.parametrize("path", [path for path in SIGNATURES if path.count(".") == 1 and not path.startswith("Posterior.")])
def test_everything_is_at_the_top_as_well(path):
    assert found(path) is getattr(ili, path.split(".")[1])


@pytest.mark.parametrize(
    "module", ["dataloaders", "inference", "utils", "utils.samplers", "utils.ndes_pt", "utils.distributions_pt", "validation", "validation.metrics",
               "validation.runner", "embedding", "embedding.fcn"]
)
def test_module_is_importable_by_its_path(module):
    assert importlib.import_module(f"abduce.{module}").__name__ == f"abduce.{module}"


@pytest.mark.parametrize("loader", ["NumpyLoader", "StaticNumpyLoader", "SBISimulator", "SummarizerDatasetLoader", "TorchLoader"])
def test_loader_has_their_methods(loader):
    for method in ("from_config", "__len__", "get_all_data", "get_all_parameters", "get_obs_data", "get_fid_parameters"):
        assert callable(getattr(getattr(ili, loader), method))


@pytest.mark.parametrize("attribute", ["sample", "log_prob", "potential", "set_default_x", "prior", "posteriors", "weights", "num_components", "name", "signatures"])
def test_posterior_has(attribute):
    assert hasattr(ili.Posterior, attribute)


def test_classes_by_their_names_in_files():
    assert ili.utils.load_class("ili.validation.metrics", "PlotSinglePosterior") is ili.PlotSinglePosterior
    assert ili.utils.load_class("sbi.utils", "BoxUniform") is ili.Uniform
    prior = ili.utils.load_from_config({"module": "ili.utils", "class": "Uniform", "args": {"low": [0], "high": [2]}})
    assert prior.log_prob([[1.0]])[0] == pytest.approx(-0.6931, abs=1e-4)
    assert ili.utils.update({"a": {"b": 1, "c": 2}}, a={"b": 3}, d=4) == {"a": {"b": 3, "c": 2}, "d": 4}
    with pytest.raises(ImportError, match="not from `os`"):
        ili.utils.load_class("os", "system")


def test_older_metric_names():
    assert ili.validation.metrics.PlotRankStatistics(num_samples=10).plot_list == ["coverage", "histogram", "predictions"]
    assert ili.validation.metrics.TARP(10, sample_method="direct").plot_list == ["tarp"]
