"""step_bench.py --workload W1|W2 [--threads T] [--eager|--compile] [--dense] [--optimiser default|fused] [--fixture F.npz] [--seconds S]

Times one training step (gradients cleared, forward, loss, backward, Adam) of torch on a fixed batch. Made to be alternated with another
program: after a first line with what is running, it obeys lines on standard input and answers each with one line of JSON.

  run N     put the initial weights back, do 3 steps untimed and N timed → {"steps", "median_ms", "min_ms", "max_ms", "first_loss"}
  quit      (or end of input)

With --seconds S it reads nothing: it repeats `run 50` for S seconds, prints each answer, and ends.

--fixture takes inputs and weights from a file of step_fixture.py, so that both programs work on the same numbers; without it they are
the ones step_fixture.py would write. first_loss is the loss at the initial weights and must agree with the fixture's.
--compile runs the model under torch.compile (inductor; needs a C++ compiler). nflows selects the spline's inside by boolean indexing, on
which the compiler of torch 2.5.1 fails, so a compiled W2 uses a torch.where form of the same spline (--dense takes it without compiling).
--optimiser default is torch.optim.Adam as sbi calls it, fused is torch's one-kernel Adam; if not given, fused with --compile, which is the
strongest torch there is, and default without, which is what users of sbi get.
"""

import argparse
import json
import statistics
import sys
import time

import numpy as np
import torch

import workloads

WARM_UP = 3


def load_fixture(path, model):
    """Put the weights of a fixture into the model; return its inputs."""
    with np.load(path, allow_pickle=False) as file, torch.no_grad():
        for name, p in workloads.parameter_names(model):
            p.copy_(torch.from_numpy(file[f"param.{name}"]))
        context = torch.from_numpy(file["input.context"]) if "input.context" in file else None
        return torch.from_numpy(file["input.x"]), context


class Bench:
    """One model with its batch, and how to take timed steps from the same start."""

    def __init__(self, args):
        self.model, self.x, self.context = workloads.build(args.workload, args.seed, args.dense)
        if args.fixture:
            self.x, self.context = load_fixture(args.fixture, self.model)
        self.start = [p.detach().clone() for p in self.model.parameters()]
        self.fused = args.optimiser == "fused"

        def loss(x, context):
            return -self.model(x, context).mean()

        self.loss = torch.compile(loss) if args.compile else loss

    def step(self, optimiser):
        optimiser.zero_grad()
        loss = self.loss(self.x, self.context)
        loss.backward()
        optimiser.step()
        return loss

    def run(self, steps):
        with torch.no_grad():
            for p, value in zip(self.model.parameters(), self.start):
                p.copy_(value)
        optimiser = torch.optim.Adam(self.model.parameters(), lr=5e-4, fused=True if self.fused else None)
        first = self.step(optimiser).item()
        for _ in range(WARM_UP - 1):
            self.step(optimiser)
        times = []
        for _ in range(steps):
            begin = time.perf_counter()
            self.step(optimiser)
            times.append(1e3 * (time.perf_counter() - begin))
        return {"steps": steps, "median_ms": statistics.median(times), "min_ms": min(times), "max_ms": max(times), "first_loss": first}


def say(answer):
    print(json.dumps(answer), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", choices=["W1", "W2"], required=True)
    parser.add_argument("--threads", type=int, default=1)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--compile", action="store_true")
    form.add_argument("--eager", dest="compile", action="store_false")
    parser.add_argument("--dense", action="store_true", help="W2 only")
    parser.add_argument("--optimiser", choices=["default", "fused"])
    parser.add_argument("--fixture")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float)
    args = parser.parse_args()
    args.dense = args.workload == "W2" and (args.dense or args.compile)
    args.optimiser = args.optimiser or ("fused" if args.compile else "default")
    torch.set_num_threads(args.threads)
    torch.set_num_interop_threads(1)

    bench = Bench(args)
    begin = time.perf_counter()
    bench.run(10)  # compiles, and recompiles for whatever changes after the first steps
    say(
        {
            "ready": True,
            "workload": args.workload,
            "torch": torch.__version__,
            "capability": torch.backends.cpu.get_cpu_capability(),
            "threads": torch.get_num_threads(),
            "compiled": args.compile,
            "dense": args.dense,
            "optimiser": args.optimiser,
            "parameters": sum(p.numel() for p in bench.model.parameters()),
            "preparation_s": time.perf_counter() - begin,
        }
    )
    if args.seconds is not None:
        end = time.perf_counter() + args.seconds
        while time.perf_counter() < end:
            say(bench.run(50))
        return
    for line in sys.stdin:
        words = line.split()
        if words == ["quit"]:
            return
        if len(words) == 2 and words[0] == "run" and words[1].isdigit() and int(words[1]) > 0:
            say(bench.run(int(words[1])))
        elif words:
            say({"error": f"not understood: {line.strip()!r}; run N or quit"})


if __name__ == "__main__":
    main()
