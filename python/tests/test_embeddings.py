"""Torch modules of plain layers are translated, others refused with the reason. The stand-ins have the names and attributes that torch documents."""

from __future__ import annotations

import numpy as np
import pytest

import abduce
from abduce.embedding import CNN, FCN, IOB, embedding_of


def layer(kind, **attributes):
    """A stand-in for a layer of torch."""
    return type(kind, (), {"children": lambda self: [], **attributes})()


# As a tensor, a bias has no truth value.
BIAS = np.ones(2)


def linear(inputs, outputs, bias=BIAS):
    return layer("Linear", in_features=inputs, out_features=outputs, bias=bias)


def conv(axes, inputs, outputs, kernel, stride=1, padding=0, mode="zeros", dilation=1, groups=1):
    attributes = dict(in_channels=inputs, out_channels=outputs, kernel_size=(kernel,) * axes, stride=(stride,) * axes, dilation=(dilation,) * axes)
    return layer(f"Conv{axes}d", padding=padding, padding_mode=mode, groups=groups, bias=BIAS, **attributes)


def sequential(*layers):
    return type("Sequential", (), {"children": lambda self: iter(layers)})()


SILU, RELU, FLATTEN = layer("SiLU"), layer("ReLU"), layer("Flatten")


def test_dense_layers():
    assert embedding_of(sequential(FLATTEN, linear(10, 16), SILU, linear(16, 4))) == FCN([16, 4], "SiLU", 10)
    assert embedding_of(sequential(sequential(linear(3, 8), RELU), linear(8, 2))) == FCN([8, 2], "ReLU", 3)
    assert embedding_of(linear(5, 2)) == FCN([2], n_input=5)
    assert embedding_of(layer("Identity")) is None and embedding_of(None) is None
    assert embedding_of(layer("LazyLinear", in_features=0, out_features=3)) == FCN([3])


def test_convolutions():
    pool = layer("MaxPool2d", kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
    image = sequential(conv(2, 1, 8, 3), RELU, pool, conv(2, 8, 16, 3, stride=2), RELU, FLATTEN, linear(64, 32), RELU, linear(32, 5))
    found = embedding_of(image)
    assert found == CNN([8, 16], [32, 5], None, [3, 3], [1, 2], [2, 1], "ReLU", "valid")
    assert found.config((1, 12, 12))["cnn"]["in_shape"] == [1, 12, 12] == found.config((12, 12))["cnn"]["in_shape"]
    with pytest.raises(abduce.ShapeError, match="1 channels"):
        found.config((3, 12, 12))
    signal = sequential(conv(1, 2, 4, 5, padding="same", mode="circular"), SILU, FLATTEN, linear(40, 3))
    assert embedding_of(signal).config((2, 10))["cnn"]["padding"] == "periodic"
    assert embedding_of(sequential(conv(3, 1, 4, 3, padding=(1, 1, 1)), SILU, FLATTEN, linear(4, 3))).arguments["padding"] == "same"


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (sequential(linear(10, 16), layer("MultiheadAttention"), linear(16, 4)), "no MultiheadAttention"),
        (sequential(linear(10, 16), SILU), "no Linear"),
        (sequential(linear(10, 16), linear(16, 4)), "without an activation"),
        (sequential(linear(10, 16), SILU, linear(16, 8), RELU, linear(8, 4)), "several kinds of activation: ReLU, SiLU"),
        (sequential(linear(10, 16, bias=None), SILU, linear(16, 4)), "no bias"),
        (sequential(linear(10, 16), layer("LeakyReLU", negative_slope=0.2), linear(16, 4)), "negative_slope=0.2"),
        (sequential(conv(2, 1, 4, 3, dilation=2), RELU, FLATTEN, linear(9, 2)), "dilated"),
        (sequential(conv(2, 4, 4, 3, groups=4), RELU, FLATTEN, linear(9, 2)), "groups=4"),
        (sequential(conv(2, 1, 4, 5, padding=1), RELU, FLATTEN, linear(9, 2)), "pads by 1"),
        (sequential(conv(2, 1, 4, 3), FLATTEN, linear(9, 2)), "convolution without an activation"),
        (sequential(linear(9, 9), SILU, conv(1, 1, 2, 3), SILU, linear(9, 2)), "behind a Linear"),
        (type("Net", (), {"children": lambda self: [linear(10, 4)]})(), "no Net"),
        (object(), "no object"),
    ],
)
def test_what_has_no_equivalent_is_refused(module, reason):
    with pytest.raises(abduce.ConfigError, match=reason) as refusal:
        abduce.utils.load_nde_sbi(engine="NPE", model="maf", embedding_net=module)
    assert "FCN, ResidualMLP, IOB, CNN" in str(refusal.value)


def test_networks_are_trained_with_them(pairs, prior):
    theta, x = pairs
    nets = [abduce.MAF(transforms=2, hidden=16, embedding=sequential(linear(10, 16), SILU, linear(16, 6)))]
    assert abduce.npe(theta, x, prior, nets=nets, seed=0, max_num_epochs=2).train().sample((5,), x[0]).shape == (5, 3)
    images = x.reshape(-1, 1, 2, 5)
    module = sequential(conv(2, 1, 4, 2), RELU, FLATTEN, linear(16, 6))
    runner = abduce.SBIRunner(prior, "NPE", abduce.utils.load_nde_sbi("NPE", "mdn", module, hidden_features=8, num_components=2), {"max_num_epochs": 2})
    posterior, _ = runner(abduce.NumpyLoader(images, theta), seed=0)
    assert posterior.x_shape == (1, 2, 5) and posterior.sample((5,), images[0]).shape == (5, 3)
    # Whatever the shape of x, the widths that it can't have are refused before anything runs.
    wrong = abduce.MAF(embedding=sequential(linear(7, 16), SILU, linear(16, 6)))
    with pytest.raises((abduce.ConfigError, RuntimeError), match="7"):
        abduce.npe(theta, x, prior, nets=[wrong], seed=0).train()


def test_all_of_ours_are_trained():
    rng = np.random.default_rng(0)
    theta = rng.uniform(-1, 1, (300, 1))
    x = (theta[:, :, None] + rng.standard_normal((300, 6, 3))).astype(np.float32)
    from abduce import embedding

    for net in (
        embedding.ResidualMLP(8, 2, 1),
        embedding.CNN([4], [3], kernel_sizes=[2]),
        embedding.ResNet([4], 3, num_blocks=1),
        embedding.DeepSet([4], [3], pooling="mean"),
        embedding.SetTransformer(4, [3], num_heads=2, num_layers=1),
        embedding.Transformer(4, [3], num_heads=2, num_layers=1),
        embedding.GNN(4, [3], num_neighbours=3, num_rounds=1),
    ):
        run = abduce.npe(theta, x, abduce.Uniform([-1], [1]), nets=[abduce.MDN(components=1, hidden=4)], embedding=net, seed=0, max_num_epochs=1)
        assert np.isfinite(run.train().log_prob(theta[:5], x[:5])).all(), net


def test_ordered_summaries(pairs, prior):
    theta, x = pairs
    net = IOB([16, 3], act_fn="SiLU", weights="linear")
    run = abduce.npe(theta, x, prior, nets=[abduce.MAF(transforms=2, hidden=16)], embedding=net, seed=0, max_num_epochs=15)
    posterior = run.train()
    scores = [float(np.mean(posterior.at_width(width).log_prob(theta, x))) for width in (0, 1, 2, 3)]
    # Each summary tells something: by more than the scatter of a mean over 1500 rows.
    assert scores[0] < scores[1] - 0.1 and scores[1] < scores[2] + 0.05 and scores[2] < scores[3] + 0.05
    with pytest.raises(abduce.ConfigError, match="4 ordered"):
        posterior.at_width(4)


def test_torchs_own_modules(pairs, prior):
    nn = pytest.importorskip("torch.nn", reason="torch is not installed")
    theta, x = pairs
    assert embedding_of(nn.Sequential(nn.Flatten(), nn.Linear(10, 16), nn.GELU(), nn.Linear(16, 4))) == FCN([16, 4], "GELU", 10)
    assert embedding_of(nn.Sequential(nn.Linear(10, 16), nn.Softplus(), nn.Linear(16, 4))) == FCN([16, 4], "Softplus", 10)
    image = nn.Sequential(nn.Conv2d(1, 4, 2, padding="valid"), nn.ReLU(), nn.MaxPool2d(1), nn.Flatten(), nn.Linear(16, 6))
    nets = abduce.utils.load_nde_sbi("NPE", "mdn", image, hidden_features=8, num_components=2)
    posterior, _ = abduce.SBIRunner(prior, "NPE", nets, {"max_num_epochs": 2})(abduce.NumpyLoader(x.reshape(-1, 1, 2, 5), theta), seed=0)
    assert posterior.sample((5,), x[0]).shape == (5, 3)
    for module in (nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)), nn.LSTM(3, 2), nn.Sequential(nn.Linear(3, 2, bias=False))):
        with pytest.raises(abduce.ConfigError, match="can't be used"):
            embedding_of(module)
