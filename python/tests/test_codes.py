"""Ordered compression and intrinsic dimension."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest

import abduce


@pytest.fixture(scope="module")
def plane():
    """Rows near a three-dimensional plane in eight dimensions; axes of falling variance."""
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.standard_normal((8, 8)))[0][:3]
    return ((rng.standard_normal((2000, 3)) * [3, 2, 1]) @ axes + 0.01 * rng.standard_normal((2000, 8))).astype(np.float32)


@pytest.fixture(scope="module")
def trained(plane, tmp_path_factory):
    folder = tmp_path_factory.mktemp("code") / "run"
    return abduce.compress(plane, 5, hidden=(), scaling="structured", epochs=150, learning_rate=1e-2, repeats=3, out=folder, seed=1)


def test_linear_codes_reach_principal_axes(trained, plane):
    losses = trained.losses
    found, axes = np.array(losses["ordered"][losses["kept"]]), np.array(losses["principal"])
    # The optimum of a linear ordered code is the principal axes; 150 epochs come within a few per cent of the variance.
    assert np.all(found[:4] - axes[:4] < 0.05 * losses["mean"]), (found, axes)
    # Nothing linear is better than principal axes on the training rows, whose axes they are; on held-out rows by a thousandth at most.
    assert np.all(axes <= found + 1e-3 * losses["mean"])
    assert trained.summary["mean_loss"] == pytest.approx(losses["mean"])
    mean_rows = trained.losses_of(plane[:50])
    assert mean_rows.shape == (50, 6) and mean_rows[:, 3].mean() < 0.05 * mean_rows[:, 0].mean()


def test_encode_decode_truncate(trained, plane, tmp_path):
    codes = trained.encode(plane)
    assert codes.shape == (2000, 5) and np.array_equal(trained.encode(plane, 2), codes[:, :2])
    back = trained.decode(codes)
    assert back.shape == plane.shape and np.mean((back - plane) ** 2) < 0.05 * plane.var()
    assert np.array_equal(trained.decode(codes, 2), trained.decode(codes[:, :2]))
    small = trained.truncate(2)
    assert small.latents == 2 and np.allclose(small.encode(plane[:9]), codes[:9, :2]) and small.losses is None
    small.save(tmp_path / "small.safetensors")
    for again in (abduce.load(tmp_path / "small.safetensors"), pickle.loads(pickle.dumps(small))):
        assert isinstance(again, abduce.Compressor) and np.array_equal(again.encode(plane[:9]), small.encode(plane[:9]))
    for call, kind, words in [
        (lambda: trained.encode(plane[:, :5]), abduce.ShapeError, "8"),
        (lambda: trained.encode(plane, 6), abduce.ShapeError, "between 1 and 5"),
        (lambda: trained.decode(np.zeros((2, 7))), abduce.ShapeError, "7"),
        (lambda: trained.losses_of(plane[:3], [9]), abduce.ShapeError, "width 9"),
        (lambda: small.report(plane), abduce.ConfigError, "no folder"),
        (lambda: abduce.compress(plane, 3, head="msq"), abduce.ConfigError, "mse"),
        (lambda: abduce.compress(plane, 3, target=plane[:4], epochs=1), RuntimeError, "4 of targets"),
    ]:
        with pytest.raises(kind, match=words):
            call()


def test_the_program_reads_the_same_folder(trained, plane, tmp_path):
    np.save(tmp_path / "x.npy", plane[:20])
    program = [sys.executable, "-m", "abduce", "compress", "encode", str(trained.folder), str(tmp_path / "x.npy"), "-k", "3", "-o", str(tmp_path / "c.npy")]
    subprocess.run(program, check=True, cwd=tmp_path)
    assert np.array_equal(np.load(tmp_path / "c.npy"), trained.encode(plane[:20], 3))
    page = trained.report(plane[:200])
    assert page == trained.folder / "report.html" and "Ordered compression" in page.read_text()
    assert "<svg" in trained._repr_html_() and "width" in trained._repr_html_()
    with pytest.raises(abduce.ConfigError, match="data"):
        abduce.report(trained.folder)
    assert np.array_equal(abduce.load(trained.folder).encode(plane[:5]), trained.encode(plane[:5]))


def test_without_a_folder_nothing_stays(plane):
    code = abduce.compress(plane[:300], 2, hidden=(8,), epochs=2)
    folder = code.folder
    assert code.losses is not None and folder.exists()
    del code
    assert not folder.exists()


def test_classes_are_predicted_from_a_code(plane):
    labels = (plane @ plane[0] > 0).astype(np.float32)
    code = abduce.compress(plane, 2, target=labels, head="cross-entropy", hidden=(16,), decoder_hidden=(), epochs=15)
    probability = code.decode(code.encode(plane))
    assert probability.shape == (2000, 2) and np.allclose(probability.sum(1), 1, atol=1e-5)
    assert ((probability[:, 1] > 0.5) == labels).mean() > 0.9


def test_dimension_of_a_sphere_and_of_codes(trained):
    rng = np.random.default_rng(1)
    sphere = rng.standard_normal((1500, 3))
    sphere = np.pad(sphere / np.linalg.norm(sphere, axis=1, keepdims=True), ((0, 0), (0, 3)))
    found = abduce.dimension(sphere, ["twonn", "mle"])
    # TwoNN's standard error with 1500 points is 2/√1500.
    assert abs(found.value - 2) < 0.25 and float(found) == found.value and set(found.estimates) == {"TwoNN", "MLE"}
    assert "<svg" in found._repr_html_() and "twonn" in str(found).lower() and found.figure().svg
    combined = abduce.dimension(sphere[:400], references=60, seed=3)
    assert combined.interval[0] <= 2.2 and combined.interval[1] >= 1.8 and "95 %" in repr(combined)
    codes = abduce.dimension(trained, method="iob")
    assert codes.value == 3 and codes.report["method"] == "iob"
    for call, words in [
        (lambda: abduce.dimension(sphere, "twnn"), "twonn"),
        (lambda: abduce.dimension(sphere, "iob"), "Compressor"),
        (lambda: abduce.dimension(trained.truncate(2)), "without its losses"),
        (lambda: abduce.dimension(trained, loss="bits"), "variance"),
    ]:
        with pytest.raises(abduce.ConfigError, match=words):
            call()
    with pytest.raises(RuntimeError, match="distinct points"):
        abduce.dimension(np.ones((10, 2)), "mle")
