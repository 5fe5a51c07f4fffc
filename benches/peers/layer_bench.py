"""layer_bench.py --workload CNN|W3|W4|W5|CONV512 [--threads T] [--compile] [--fixture OUT.npz]: torch's side of `cargo xtask verify layers`.

--fixture writes inputs, parameters and exact gradients and ends; with --small the narrow network of the tests:
  for w in CNN W3 W4 W5; do python benches/peers/layer_bench.py --workload $w --small --fixture crates/abduce-nn/tests/fixtures/${w,,}.npz; done
Arrays: x and target, channels last; param and gradient, all parameters in our order in one vector (gradient computed in float64); loss.

Without it, it obeys lines on standard input as step_bench.py does: `run N` → {"steps", "median_ms", "first_loss"}; `quit`.
"""

import argparse
import copy
import json
import statistics
import sys
import time

import numpy as np
import torch

from layer_workloads import build, channels_last, in_our_order, loss_of


def write_fixture(path, net, x, target):
    exact = copy.deepcopy(net).double()
    loss = loss_of(exact, x.double(), target.double())
    loss.backward()

    def flat(numbers):
        return np.concatenate([numbers(p).permute(axes).reshape(-1).detach().numpy().astype(np.float32) for _, p, axes in in_our_order(exact)])

    arrays = {
        "x": channels_last(x).numpy(),
        "target": channels_last(target).numpy(),
        "param": flat(lambda p: p),
        "gradient": flat(lambda p: p.grad),
        "loss": np.array([loss.item()]),
    }
    np.savez(path, **arrays)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--fixture")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_num_interop_threads(1)
    net, x, target = build(args.workload, args.small)
    if args.fixture:
        write_fixture(args.fixture, net, x, target)
        return
    start = [p.detach().clone() for p in net.parameters()]
    loss = torch.compile(loss_of) if args.compile else loss_of

    def step(optimiser):
        optimiser.zero_grad()
        value = loss(net, x, target)
        value.backward()
        optimiser.step()
        return value

    def run(steps):
        with torch.no_grad():
            for p, value in zip(net.parameters(), start):
                p.copy_(value)
        optimiser = torch.optim.Adam(net.parameters(), lr=5e-4, fused=True if args.compile else None)
        first = step(optimiser).item()
        times = []
        for _ in range(steps):
            begin = time.perf_counter()
            step(optimiser)
            times.append(1e3 * (time.perf_counter() - begin))
        return {"steps": steps, "median_ms": statistics.median(times), "first_loss": first}

    run(2)
    print(json.dumps({"ready": True, "workload": args.workload, "torch": torch.__version__, "threads": args.threads, "compiled": args.compile}), flush=True)
    for line in sys.stdin:
        words = line.split()
        if words[:1] == ["quit"]:
            return
        if len(words) == 2 and words[0] == "run":
            print(json.dumps(run(int(words[1]))), flush=True)


if __name__ == "__main__":
    main()
