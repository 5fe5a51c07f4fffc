"""The toy that LtU-ILI's notebooks use, small, and a posterior of it."""

from __future__ import annotations

import numpy as np
import pytest

import abduce as ili

T = np.arange(10.0)


def toy(theta, rng):
    """y = 3 θ0 sin t + θ1 t² − 2 θ2 t + N(0, 1)."""
    theta = np.atleast_2d(theta)
    return 3 * theta[:, :1] * np.sin(T) + theta[:, 1:2] * T**2 - 2 * theta[:, 2:] * T + rng.standard_normal((len(theta), len(T)))


@pytest.fixture(scope="session")
def pairs():
    rng = np.random.default_rng(1)
    theta = rng.uniform(size=(1500, 3))
    return theta, toy(theta, rng)


@pytest.fixture(scope="session")
def prior():
    return ili.utils.Uniform(low=[0, 0, 0], high=[1, 1, 1], device="cpu")


@pytest.fixture(scope="session")
def trained(pairs, prior):
    theta, x = pairs
    nets = [
        ili.utils.load_nde_sbi(engine="NPE", model="maf", hidden_features=32, num_transforms=3),
        ili.utils.load_nde_sbi(engine="NPE", model="mdn", hidden_features=32, num_components=4),
    ]
    args = {"training_batch_size": 32, "learning_rate": 1e-3, "max_num_epochs": 60}
    runner = ili.inference.InferenceRunner.load(backend="sbi", engine="NPE", prior=prior, nets=nets, train_args=args, name="toy")
    return runner(loader=ili.dataloaders.NumpyLoader(x=x, theta=theta), seed=3)


@pytest.fixture(scope="session")
def gaussian():
    """x = θ + N(0, 0.3²) with θ uniform on [-1, 1]²: an ensemble of two nets."""
    rng = np.random.default_rng(4)
    theta = rng.uniform(-1, 1, (3000, 2))
    x = theta + 0.3 * rng.standard_normal(theta.shape)
    nets = [ili.NSF(transforms=2, hidden=24), ili.MAF(transforms=2, hidden=24)]
    parameters = [{"name": "a", "label": r"$\alpha$"}, "b"]
    return ili.npe(theta, x, ili.Uniform([-1, -1], [1, 1]), nets=nets, parameters=parameters, seed=0, max_num_epochs=40, learning_rate=2e-3).train()
