"""Our own interface, errors, files, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time

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


def test_layouts_and_types_of_arrays():
    theta, x = abduce.simulate("two_moons", 400, seed=2)
    prior = abduce.Uniform([-1, -1], [1, 1])

    def train(theta, x):
        return abduce.npe(theta, x, prior, nets=[abduce.MDN(components=2, hidden=8)], seed=1, max_num_epochs=2).train()

    plain = np.asarray(train(theta, x).log_prob(theta[:9], x[:9]))
    wide = np.repeat(np.asarray(x, dtype=np.float64), 2, axis=0)[::2]
    for variant in (np.asfortranarray(x), wide, np.asarray(x, dtype=np.float64)):
        assert np.array_equal(np.asarray(train(np.asfortranarray(theta), variant).log_prob(theta[:9], variant[:9])), plain)


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


def test_foreign_embeddings_are_translated_or_refused(pairs):
    theta, x = pairs

    class Linear:
        def __init__(self, out_features):
            self.out_features = out_features

        def children(self):
            return []

    class SiLU:
        pass

    class Sequential:
        def __init__(self, *layers):
            self.layers = layers

        def children(self):
            return self.layers

    class Attention:
        pass

    assert abduce.embedding.embedding_of(Sequential(Linear(16), SiLU(), Linear(4))) == abduce.FCN([16, 4], "SiLU")
    with pytest.raises(abduce.ConfigError, match="FCN, ResidualMLP, CNN"):
        abduce.embedding.embedding_of(Sequential(Linear(16), Attention(), Linear(4)))
    prior = abduce.Uniform([0, 0, 0], [1, 1, 1])
    nets = [abduce.MAF(transforms=2, hidden=16, embedding=abduce.FCN([16, 6]))]
    assert abduce.npe(theta, x, prior, nets=nets, seed=0, max_num_epochs=2).train().sample((5,), x[0]).shape == (5, 3)


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


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_ends_training_within_a_second_and_the_run_goes_on(tmp_path):
    theta, x = abduce.simulate("slcp", 5000, seed=1)
    prior = abduce.Uniform([-3] * 5, [3] * 5)
    run = abduce.npe(theta, x, prior, out=tmp_path / "run", seed=0, max_num_epochs=10_000, stop_after_epochs=10_000)
    pressed = []

    def press():
        pressed.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Timer(1.5, press).start()
    with pytest.raises(KeyboardInterrupt):
        run.train()
    # An epoch, and the checkpoint; with room for a busy machine.
    assert time.monotonic() - pressed[0] < 5.0
    assert list((tmp_path / "run" / "checkpoints").glob("*.safetensors")), "what was reached is kept"


def test_the_module_and_its_stubs_name_the_same_things():
    import ast
    from pathlib import Path

    stub = ast.parse(Path(abduce.__file__).with_name("_native.pyi").read_text())
    named = {node.name: node for node in stub.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
    there = {name for name in dir(_native) if not name.startswith("__")}
    assert set(named) == there
    for name in ("Prior", "Posterior"):
        methods = {node.name for node in named[name].body if isinstance(node, ast.FunctionDef)} - {"__new__"}
        assert methods == {attribute for attribute in dir(getattr(_native, name)) if not attribute.startswith("_")}


def test_import_is_quick_and_needs_numpy_alone(tmp_path):
    code = "import time, sys, numpy; t = time.perf_counter(); import abduce; print(time.perf_counter() - t); print('matplotlib' in sys.modules)"
    runs = [subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path).stdout.split() for _ in range(5)]
    assert all(loaded == "False" for _, loaded in runs)
    assert min(float(seconds) for seconds, _ in runs) < 0.15, runs


def test_summary_is_the_programs(trained, pairs, prior, tmp_path):
    theta, x = pairs
    runner = abduce.SBIRunner(prior, "NPE", [{"model": "mdn", "hidden_features": 8, "num_components": 2}], {"max_num_epochs": 2}, out_dir=tmp_path / "run")
    _, summary = runner(abduce.NumpyLoader(x, theta), seed=0)
    assert json.loads((tmp_path / "run" / "summary.json").read_text()) == summary
