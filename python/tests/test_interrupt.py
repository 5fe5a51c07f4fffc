"""Ctrl-C ends any work within a second and keeps what was reached; the interpreter goes on meanwhile."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import abduce

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")

# With room for a busy machine: what is promised is one second.
SOON = 3.0

BEGIN = """
import sys, time
import numpy as np, abduce
theta, x = abduce.simulate("slcp", 3000, seed=1)
prior = abduce.Uniform([-3] * 5, [3] * 5)
def nle():
    return abduce.nle(theta[:400], x[:400], prior, nets=[abduce.MAF(transforms=2, hidden=16)], seed=0, max_num_epochs=1).train()
"""
WORK = {
    "training": "abduce.npe(theta, x, prior, out='run', seed=0, max_num_epochs=100000, stop_after_epochs=100000, threads=1).train()",
    "training of an ensemble": "abduce.npe(theta, x, prior, ensemble=3, out='run', seed=0, max_num_epochs=100000, stop_after_epochs=100000).train()",
    "one long epoch": "abduce.npe(np.repeat(theta, 100, 0), np.repeat(x, 100, 0), prior, out='run', seed=0, training_batch_size=10).train()",
    "chains": "posterior.sample((2000000,), x[0], method='slice', thin=50)",
    "densities": "posterior.log_prob(np.repeat(theta, 3000, 0), x[0])",
    "validation": "abduce.validate(posterior, theta, x, draws=2000)",
    "dimension": "abduce.dimension(np.random.default_rng(0).standard_normal((20000, 30)), 'all')",
    "compression": "abduce.compress(np.random.default_rng(0).standard_normal((20000, 100)), 20, epochs=100000, out='code')",
    "a simulator in Python": (
        "abduce.inference.SBIRunnerSequential(prior, 'SNPE', abduce.utils.load_nde_sbi('SNPE', 'maf'), {'num_round': 2})(loader)"
    ),
}
LOADER = """
class Loader:
    num_simulations = 10
    def get_all_data(self): return None
    def get_all_parameters(self): return None
    def get_obs_data(self): return x[0]
    def simulate(self, proposal):
        time.sleep(1000)
loader = Loader()
"""


@pytest.mark.parametrize("what", WORK)
def test_ctrl_c_ends(what, tmp_path):
    needs = ("posterior = nle()\n" if "posterior" in WORK[what] else "") + (LOADER if "loader" in WORK[what] else "")
    code = f"{BEGIN}{needs}print('begun', flush=True)\ntry:\n    {WORK[what]}\n    print('ended by itself')\nexcept KeyboardInterrupt:\n    print('stopped')\n"
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "begun\n"
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        pressed = time.monotonic()
        said = process.stdout.read()
        took = time.monotonic() - pressed
        process.wait()
    assert said == "stopped\n" and process.returncode == 0
    assert took < SOON, f"{took:.2f} s"


def test_what_was_reached_is_kept_and_gone_on_with(tmp_path, monkeypatch):
    theta, x = abduce.simulate("slcp", 2000, seed=1)
    prior = abduce.Uniform([-3] * 5, [3] * 5)
    nets = [abduce.MAF(transforms=2, hidden=16)]

    def run(folder):
        return abduce.npe(theta, x, prior, nets=nets, out=tmp_path / folder, seed=0, max_num_epochs=400, stop_after_epochs=400)

    @contextlib.contextmanager
    def pressed(_label):
        def epoch(_net, number, _train, _validation):
            # On the thread and in the way of Ctrl-C, at a time that no machine is too quick for.
            if number >= 20:
                signal.raise_signal(signal.SIGINT)

        yield epoch

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("abduce.inference.base.watch", pressed)
        run("run").train()
    assert list((tmp_path / "run" / "checkpoints").glob("*.safetensors"))
    resumed, whole = run("run").train(resume=True), run("whole").train()
    assert np.array_equal(resumed.log_prob(theta[:9], x[:9]), whole.log_prob(theta[:9], x[:9]))


def test_other_threads_go_on(gaussian):
    ticks, done = [], threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.005)

    ticking = threading.Thread(target=tick)
    ticking.start()
    theta = np.zeros((400_000, 2), dtype=np.float32)
    begun = time.monotonic()
    gaussian.log_prob(theta, [0.0, 0.0], threads=1)
    took = time.monotonic() - begun
    done.set()
    ticking.join()
    longest = np.diff([t for t in ticks if t >= begun] + [begun + took])
    # A call that kept the interpreter would leave a gap as long as itself.
    assert took < 0.1 or longest.max() < 0.5 * took, (took, longest.max())


def test_threads_are_explicit_and_change_nothing(gaussian):
    x = np.random.default_rng(0).uniform(-1, 1, (64, 2))
    one, two = (gaussian.sample_batched((50,), x, seed=1, threads=threads) for threads in (1, 2))
    assert np.array_equal(one, two)
