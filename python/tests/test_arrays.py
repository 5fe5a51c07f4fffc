"""Arrays of any kind come in; nothing is copied that need not be."""

from __future__ import annotations

import numpy as np
import pytest

import abduce
from abduce._arrays import float32, float64, numbers


class Exporter:
    """A tensor of another library: DLPack and nothing else."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **kwargs):
        return self.array.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()

    def __len__(self):
        return len(self.array)


class Tensor(Exporter):
    """One that wants a gradient, as torch's do."""

    def __init__(self, array, attached=True):
        super().__init__(array)
        self.attached = attached

    def detach(self):
        return Tensor(self.array, attached=False)

    def cpu(self):
        return self

    def __dlpack__(self, **kwargs):
        if self.attached:
            raise BufferError("detach it first")
        return super().__dlpack__(**kwargs)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_fits_is_not_copied(dtype):
    convert = float32 if dtype == np.float32 else float64
    array = np.arange(12, dtype=dtype).reshape(4, 3)
    for given in (array, array[1:3], Exporter(array), Tensor(array), array.T.T):
        assert np.shares_memory(convert(given), array)
    # Other layouts are copied once, into the order of the rows.
    for given in (np.asfortranarray(array), array[::2], array[:, ::-1], array.astype(np.float16), array.tolist()):
        found = convert(given)
        assert found.dtype == dtype and found.flags.c_contiguous and not np.shares_memory(found, array)
        assert np.array_equal(found, np.asarray(given, dtype=dtype))


def test_results_are_views_of_what_was_computed(gaussian):
    samples = gaussian.sample((100,), [0.1, 0.2], seed=0)
    base = samples
    while getattr(base, "base", None) is not None and isinstance(base.base, np.ndarray):
        base = base.base
    # The buffer belongs to the native part: numpy has not made one of its own.
    assert np.shares_memory(samples, base) and not base.flags.owndata
    assert np.shares_memory(samples.numpy(), samples) and np.shares_memory(numbers(samples), samples)


@pytest.mark.parametrize("kind", [Exporter, Tensor])
def test_tensors_are_taken_everywhere(gaussian, kind):
    theta, x = np.random.default_rng(0).uniform(-1, 1, (2, 30, 2)).astype(np.float32)
    wanted = gaussian.log_prob(theta, x)
    assert np.array_equal(gaussian.log_prob(kind(theta), kind(x)), wanted)
    assert np.array_equal(gaussian.sample((9,), kind(x[:1]), seed=1), gaussian.sample((9,), x[:1], seed=1))
    prior = gaussian.prior
    assert np.array_equal(prior.log_prob(kind(theta.astype(np.float64))), prior.log_prob(theta))
    loader = abduce.NumpyLoader(x=kind(x), theta=kind(theta))
    nets = [abduce.MDN(components=1, hidden=4)]
    runner = abduce.SBIRunner(prior, "NPE", nets, {"max_num_epochs": 1})
    assert runner(loader, seed=0)[0].sample((3,), x[0]).shape == (3, 2)
    assert abduce.dimension(kind(np.random.default_rng(1).standard_normal((60, 2))), "mle").value > 1


def test_torch_tensors(gaussian):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    theta = torch.linspace(-0.5, 0.5, 20).reshape(10, 2).requires_grad_()
    x = torch.zeros(1, 2, dtype=torch.float64)
    assert np.array_equal(gaussian.log_prob(theta, x), gaussian.log_prob(theta.detach().numpy(), x.numpy()))
    assert np.array_equal(gaussian.log_prob(theta.t().t(), x), gaussian.log_prob(theta, x))
    assert gaussian.sample(torch.Size([7]), x).shape == (7, 2)


def test_layouts_and_types_give_the_same_training():
    theta, x = abduce.simulate("two_moons", 400, seed=2)
    prior = abduce.Uniform([-1, -1], [1, 1])

    def train(theta, x):
        return abduce.npe(theta, x, prior, nets=[abduce.MDN(components=2, hidden=8)], seed=1, max_num_epochs=2).train()

    plain = np.asarray(train(theta, x).log_prob(theta[:9], x[:9]))
    wide = np.repeat(np.asarray(x, dtype=np.float64), 2, axis=0)[::2]
    for variant in (np.asfortranarray(x), wide, np.asarray(x, dtype=np.float64)):
        assert np.array_equal(np.asarray(train(np.asfortranarray(theta), variant).log_prob(theta[:9], variant[:9])), plain)
