"""Run directories go both ways: what the program makes opens in Python, and the program goes on with what Python makes."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import abduce

INFER = """
prior: {{uniform: {{low: [-1, -1], high: [1, 1]}}}}
model: {{engine: {engine}, name: demo{nets}}}
train_args: {{{args}}}
"""
NETS = {"NPE": ", nets: [{model: mdn, hidden_features: 8, num_components: 2}]", "NLE": ", nets: [{model: maf, hidden_features: 8, num_transforms: 1}]"}


def program(*words, cwd):
    done = subprocess.run([sys.executable, "-m", "abduce", *map(str, words)], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sims")
    program("simulate", "two_moons", "-n", 600, "--seed", 1, "-o", "sims", cwd=folder)
    np.save(folder / "x_obs.npy", np.load(folder / "sims" / "x.npy")[0])
    (folder / "stored.yaml").write_text("in_dir: sims\nx_file: x.npy\ntheta_file: theta.npy\nxobs_file: ../x_obs.npy\n")
    (folder / "simulator.yaml").write_text("in_dir: .\nxobs_file: x_obs.npy\nnum_simulations: 200\nsimulator: {task: two_moons}\n")
    return folder


@pytest.mark.parametrize(
    ("engine", "data", "args"),
    [
        ("NPE", "stored", "max_num_epochs: 2"),
        ("NLE", "stored", "max_num_epochs: 2"),
        ("NRE", "stored", "max_num_epochs: 2"),
        ("FMPE", "stored", "max_num_epochs: 2"),
        ("SNPE", "simulator", "max_num_epochs: 2, num_round: 2"),
        ("MCABC", "stored", "quantile: 0.1"),
        ("SMCABC", "simulator", "num_simulations: 1000, num_particles: 100, num_initial_pop: 200, epsilon_decay: 0.5"),
    ],
)
def test_a_run_of_the_program_opens(engine, data, args, simulated):
    (simulated / f"{engine}.yaml").write_text(INFER.format(engine=engine, nets=NETS.get(engine.lstrip("S"), ""), args=args))
    program("train", f"{engine}.yaml", "--data", f"{data}.yaml", "-o", f"runs/{engine}", cwd=simulated)
    x_obs = np.load(simulated / "x_obs.npy")
    posterior = abduce.load(simulated / "runs" / engine)
    assert posterior.name == "demo" and posterior.x_shape == (2,)
    params = {"num_chains": 4, "thin": 1, "burn_in": 20} if engine in ("NLE", "NRE") else {}
    own = posterior.sample((50,), x_obs, seed=3, **params)
    assert own.shape == (50, 2) and np.abs(own).max() <= 1
    if not params:
        # The same draws from the command line.
        program("sample", f"runs/{engine}", "--x", "x_obs.npy", "-n", 50, "--seed", 3, "-o", "draws.npy", cwd=simulated)
        assert np.array_equal(np.load(simulated / "draws.npy").reshape(50, 2), own)


def test_the_program_goes_on_with_a_run_of_ours(simulated):
    theta, x = (np.load(simulated / "sims" / f"{name}.npy") for name in ("theta", "x"))
    prior = abduce.Uniform([-1, -1], [1, 1])
    nets = [abduce.MDN(components=2, hidden=8)]
    posterior = abduce.npe(theta, x, prior, nets=nets, out=simulated / "ours", seed=0, max_num_epochs=2, parameters=["a", "b"]).train()
    program("log-prob", "ours", "--theta", "sims/theta.npy", "--x", "sims/x.npy", "-o", "lp.npy", cwd=simulated)
    assert np.allclose(np.load(simulated / "lp.npy"), posterior.log_prob(theta, x), atol=1e-5)
    program("validate", "ours", "--data", "stored.yaml", "-o", "ours", cwd=simulated)
    page = program("report", "ours", cwd=simulated).strip()
    assert page.endswith("report.html") and json.loads((simulated / "ours" / "metrics.json").read_text())["n_pairs"] == 600
    assert abduce.load(simulated / "ours").names == ["a", "b"]


def test_what_is_no_run_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="0 models"):
        abduce.load(tmp_path)
    (tmp_path / "x.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises((OSError, RuntimeError, ValueError), match="x.safetensors"):
        abduce.load(tmp_path / "x.safetensors")
