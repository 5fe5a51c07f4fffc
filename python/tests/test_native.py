"""Our own interface, errors, files."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

import abduce
from abduce import _native


def test_train_sample_validate_report(tmp_path):
    theta, x = abduce.simulate("two_moons", 1500, seed=1)
    assert np.array_equal(theta, abduce.simulate("two_moons", 1500, seed=1)[0])
    prior = abduce.Uniform([-1, -1], [1, 1])
    run = abduce.npe(theta, x, prior, nets=[abduce.NSF(transforms=3, hidden=16)], ensemble=2, out=tmp_path / "run", seed=0, max_num_epochs=10)
    posterior = run.train()
    assert posterior.num_components == 2 and len(posterior.training) == 2
    assert "<svg" in posterior._repr_html_()
    corner = posterior.corner(x[0], truth=theta[0])
    assert corner.save(tmp_path / "corner.svg").read_text().startswith("<svg") or "<svg" in corner.svg
    with pytest.raises(ValueError, match=".svg or .png"):
        corner.save(tmp_path / "corner.gif")
    found = abduce.validate(posterior, theta[:600], x[:600], draws=100)
    assert found.metrics["n_pairs"] == 600 and "gate" in str(found)
    assert found.figure("plot_hpd") is not None
    assert abduce.report(tmp_path / "run").exists()
    # The program goes on with the same folder, and reads what it holds.
    np.save(tmp_path / "x.npy", np.asarray(x[:2]))
    program = [sys.executable, "-m", "abduce", "sample", str(tmp_path / "run"), "--x", str(tmp_path / "x.npy"), "-n", "50", "-o", str(tmp_path / "s.npy")]
    subprocess.run(program, check=True, cwd=tmp_path)
    assert np.load(tmp_path / "s.npy").shape == (2, 50, 2)
    again = abduce.load(tmp_path / "run")
    assert np.array_equal(again.log_prob(theta[:5], x[:5]), posterior.log_prob(theta[:5], x[:5]))


def test_errors_have_their_types(trained, pairs):
    posterior, _ = trained
    theta, x = pairs
    prior = abduce.Uniform([0, 0, 0], [1, 1, 1])
    assert issubclass(abduce.ConfigError, ValueError) and issubclass(abduce.NumericsError, ArithmeticError)
    for call, kind, words in [
        (lambda: abduce.npe(theta, x, prior, nets=[abduce.net("nsff")]), abduce.ConfigError, "unknown net `nsff`"),
        (lambda: abduce.npe(theta, x, prior, lerning_rate=1e-3), abduce.ConfigError, "learning_rate"),
        (lambda: abduce.npe(theta, x, abduce.Uniform([0, 0], [1, 1])).train(), RuntimeError, "parameters"),
        (lambda: abduce.npe(theta[:10], x, prior), ValueError, "rows"),
        (lambda: posterior.log_prob(theta[:3], x[:2]), abduce.ShapeError, "rows"),
        (lambda: posterior.sample((10,), x[0, :5]), abduce.ShapeError, r"shape \(5,\)"),
        (lambda: posterior.sample((10,), x[:2]), abduce.ShapeError, "sample_batched"),
        (lambda: posterior.sample((10,), np.full(10, np.nan)), (abduce.NumericsError, RuntimeError), "NaN"),
        (lambda: abduce.load("nowhere"), Exception, "nowhere"),
        (lambda: abduce.report("nowhere"), abduce.ConfigError, "no run directory"),
        (lambda: abduce.utils.load_class("os", "system"), ImportError, "abduce"),
        (lambda: abduce.simulate("two_mons", 10), abduce.ConfigError, "two_moons"),
    ]:
        with pytest.raises(kind, match=words):
            call()


def test_simulators_run_in_processes_and_may_fail():
    def simulator(theta):
        if theta[0, 0] > 0.9:
            raise ValueError("too large")
        return theta + 1

    theta = np.linspace(0, 1, 101)[:, None]
    one, failed = abduce.simulate_rows(simulator, theta, workers=1)
    two, failed_too = abduce.simulate_rows(simulator, theta, workers=2)
    assert np.array_equal(one, two, equal_nan=True) and failed == failed_too and len(failed) == 10
    assert failed[0] == (91, "ValueError: too large") and np.isnan(one[91:]).all() and np.isfinite(one[:91]).all()


def test_failed_simulations_of_a_sequential_engine_are_recorded(tmp_path):
    np.save(tmp_path / "xobs.npy", np.array([0.2]))

    def simulator(theta):
        if theta[0, 0] > 0.8:
            raise ValueError("too large")
        return theta + 0.1

    loader = abduce.SBISimulator(tmp_path, "xobs.npy", num_simulations=200, simulator=simulator, workers=2)
    nets = abduce.utils.load_nde_sbi("SNPE", "mdn", hidden_features=8, num_components=1)
    runner = abduce.SBIRunnerSequential(abduce.Uniform([-1], [1]), "SNPE", nets, {"num_round": 1, "max_num_epochs": 2})
    runner(loader, seed=0)
    raised = np.flatnonzero(loader.theta[:, 0] > 0.8)
    assert len(loader) == 200 and 5 < len(raised) and [row for row, _ in loader.failures] == raised.tolist()
    assert {message for _, message in loader.failures} == {"ValueError: too large"}


def test_the_maximum_is_the_exact_one(gaussian):
    # Of N(x, 0.3²) inside the box: x itself; the net is some hundredths off.
    assert np.all(np.abs(gaussian.map([0.2, -0.3]) - [0.2, -0.3]) < 0.12)
    several = gaussian.map([[0.2, -0.3], [0.5, 0.5]])
    assert several.shape == (2, 2) and np.array_equal(several[0], gaussian.map([0.2, -0.3]))
    better = gaussian.log_prob(several[:1], [0.2, -0.3])[0]
    draws = gaussian.sample((500,), [0.2, -0.3], seed=1)
    # Within a thousandth of the prior's edges a density of θ may be steep without much mass: the maximum is the one inside.
    inside = (np.abs(draws) < 0.999).all(axis=1)
    assert inside.mean() > 0.98 and np.all(gaussian.log_prob(draws[inside], [0.2, -0.3]) <= better + 0.02)


def test_names_and_labels(gaussian):
    assert gaussian.names == ["a", "b"] and gaussian.labels == [r"\alpha", "b"]
    again = pickle.loads(pickle.dumps(gaussian))
    assert again.names == gaussian.names and len(again.training) == 2 and "<svg" in again._repr_html_()
    assert "polyline" in gaussian.posteriors[1]._repr_html_()
    with pytest.raises(abduce.ShapeError, match="3 labels for 2"):
        gaussian.corner([0.0, 0.0], labels=["a", "b", "c"])
    own, other = (gaussian.corner([0.0, 0.0], labels=labels).svg for labels in (None, ["x", "y"]))
    assert own != other


def test_reprs_of_notebooks(gaussian):
    rng = np.random.default_rng(3)
    theta = rng.uniform(-1, 1, (200, 2))
    found = abduce.validate(gaussian, theta, theta + 0.3 * rng.standard_normal(theta.shape), draws=100)
    page = found._repr_html_()
    assert "contraction" in page and "<svg" in page and "holds" in page
    assert gaussian.corner([0.0, 0.0])._repr_svg_().startswith("<svg")


def test_the_module_and_its_stubs_name_the_same_things():
    import ast
    from pathlib import Path

    stub = ast.parse(Path(abduce.__file__).with_name("_native.pyi").read_text())
    named = {node.name: node for node in stub.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
    there = {name for name in dir(_native) if not name.startswith("__")}
    assert set(named) == there
    for name in ("Prior", "Posterior", "AbcPosterior", "Compressor"):
        methods = {node.name for node in named[name].body if isinstance(node, ast.FunctionDef)} - {"__new__"}
        assert methods == {attribute for attribute in dir(getattr(_native, name)) if not attribute.startswith("_")}


def test_import_is_quick_and_needs_numpy_alone(tmp_path):
    # Processor time, which a busy machine does not lengthen much.
    code = "import time, sys, numpy; t = time.process_time(); import abduce; print(time.process_time() - t); print('matplotlib' in sys.modules)"
    runs = [subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path).stdout.split() for _ in range(5)]
    assert all(loaded == "False" for _, loaded in runs)
    assert min(float(seconds) for seconds, _ in runs) < 0.1, runs


def test_summary_is_the_programs(trained, pairs, prior, tmp_path):
    theta, x = pairs
    runner = abduce.SBIRunner(prior, "NPE", [{"model": "mdn", "hidden_features": 8, "num_components": 2}], {"max_num_epochs": 2}, out_dir=tmp_path / "run")
    _, summary = runner(abduce.NumpyLoader(x, theta), seed=0)
    assert json.loads((tmp_path / "run" / "summary.json").read_text()) == summary
