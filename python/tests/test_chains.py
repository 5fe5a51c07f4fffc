"""Draws for getdist and ArviZ: names, labels, ranges."""

from __future__ import annotations

import numpy as np
import pytest

import abduce
from abduce.chains import to_arviz, to_getdist

SUPPORT = np.array([[-1.0, 1.0], [0.0, np.inf]])
NAMES, LABELS = ["omega_m", "w_0"], [r"\Omega_m", "w_0"]


@pytest.fixture(scope="module")
def draws():
    rng = np.random.default_rng(0)
    return np.stack([rng.uniform(-1, 1, 4000), rng.exponential(size=4000)], axis=1)


def test_getdist(draws, gaussian):
    pytest.importorskip("getdist", reason="getdist is not installed")
    chain = to_getdist(draws, NAMES, LABELS, SUPPORT, "run")
    assert chain.getParamNames().list() == NAMES and chain.getParamNames().labels() == [r"\Omega_m", r"\mathrm{w\_0}"]
    assert chain.numrows == len(draws) and np.allclose(chain.samples, draws)
    ranges = chain.ranges
    assert (ranges.getLower("omega_m"), ranges.getUpper("omega_m")) == (-1.0, 1.0)
    assert ranges.getLower("w_0") == 0.0 and ranges.getUpper("w_0") is None
    # With the ranges getdist's densities do not fall off at a hard edge: flat to a tenth.
    density = chain.get1DDensity("omega_m")
    assert float(np.squeeze(density.Prob(-0.95) / density.Prob(0.0))) > 0.9
    own = gaussian.getdist([0.2, -0.1], draws=500)
    assert own.getParamNames().list() == ["a", "b"] and own.getParamNames().labels()[0] == r"\alpha" and own.numrows == 500
    assert own.ranges.getUpper("a") == 1.0


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_arviz(draws, gaussian):
    arviz = pytest.importorskip("arviz", reason="arviz is not installed")
    data = to_arviz(draws, NAMES, LABELS, SUPPORT)
    posterior = data["posterior"]
    assert list(posterior.data_vars) == NAMES and posterior["w_0"].shape == (1, 4000)
    assert np.allclose(posterior["omega_m"].values[0], draws[:, 0])
    assert posterior["omega_m"].attrs["label"] == r"\Omega_m" and posterior["w_0"].attrs["range"] == [0.0, np.inf]
    assert float(arviz.summary(data)["mean"]["w_0"]) == pytest.approx(draws[:, 1].mean(), abs=0.01)
    own = gaussian.arviz([0.2, -0.1], draws=300)
    assert own["posterior"]["b"].shape == (1, 300)


def test_chains_bring_their_convergence(pairs, prior):
    pytest.importorskip("arviz", reason="arviz is not installed")
    theta, x = pairs
    likelihood = abduce.nle(theta[:500], x[:500], prior, nets=[abduce.MDN(components=1, hidden=8)], seed=0, max_num_epochs=5).train()
    data = likelihood.arviz(x[0], draws=200)
    assert data["posterior"]["theta_0"].attrs["r_hat"] == likelihood.convergence[0]["r_hat"][0]


def test_without_the_packages_the_error_says_what_to_install(monkeypatch, gaussian):
    import sys

    for name in ("getdist", "arviz"):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(ImportError, match=f"pip install {name}"):
            getattr(gaussian, name)([0.0, 0.0], draws=10)
