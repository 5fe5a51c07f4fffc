"""methods_run.py METHOD --theta T.npy --x X.npy --observations O.npy --prior-low L… --prior-high H… -o OUT.json: NLE, NRE or SNPE of sbi, timed.

METHOD nle: a MAF (5 transforms, 50 hidden) of x given θ; nre: NRE-B with a residual classifier (2 blocks of 50) and 10 atoms. Both train on the pairs
given and then draw from the posterior of every observation by sbi's vectorised slice sampler, all observations in one batch.
METHOD snpe: SNPE-C with atoms and the default NSF, --rounds rounds of --per-round simulations of slcp (simulated here; the arrays are not read) for
the first observation, then draws.

Batch 200, Adam 5e-4, validation share 0.1, stop after 20 epochs without improvement and clipping at 5 are sbi's defaults, stated in the call.
Written to OUT.json: train.total_s, train.epochs (a list over rounds), sample.seconds, and the settings.
"""

import argparse
import json
import time
import warnings

import numpy as np
import torch

warnings.filterwarnings("ignore")

TRAIN = {
    "training_batch_size": 200,
    "learning_rate": 5e-4,
    "validation_fraction": 0.1,
    "stop_after_epochs": 20,
    "clip_max_norm": 5.0,
}


def load(path):
    array = np.load(path, allow_pickle=False)
    return torch.from_numpy(np.ascontiguousarray(array.reshape(len(array), -1), dtype=np.float32))


def slcp(theta):
    """Four points of N((θ0, θ1), S(θ2, θ3, θ4)) per row of θ (n, 5): (n, 8)."""
    s1, s2, rho = theta[:, 2] ** 2, theta[:, 3] ** 2, torch.tanh(theta[:, 4])
    z = torch.randn(len(theta), 4, 2)
    first = s1[:, None] * z[..., 0]
    second = s2[:, None] * (rho[:, None] * z[..., 0] + torch.sqrt(1 - rho[:, None] ** 2 + 1e-6) * z[..., 1])
    return torch.stack([theta[:, :1] + first, theta[:, 1:2] + second], dim=2).reshape(len(theta), 8)


def timed(work):
    begin = time.perf_counter()
    result = work()
    return result, time.perf_counter() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=["nle", "nre", "snpe"])
    parser.add_argument("--theta")
    parser.add_argument("--x")
    parser.add_argument("--observations", required=True)
    parser.add_argument("--prior-low", type=float, nargs="+", required=True)
    parser.add_argument("--prior-high", type=float, nargs="+", required=True)
    parser.add_argument("-o", "--out", required=True)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--chains", type=int, default=20)
    parser.add_argument("--warmup", type=int, default=200)
    parser.add_argument("--thin", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--per-round", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    import sbi
    from sbi.inference import NLE, NPE_C, NRE_B
    from sbi.utils import BoxUniform

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    np.random.seed(args.seed % 2**32)
    observed = load(args.observations)
    low, high = torch.tensor(args.prior_low), torch.tensor(args.prior_high)
    if len(low) == 1:
        low, high = low.expand(5).clone(), high.expand(5).clone()
    prior = BoxUniform(low, high)
    result = {"peer": f"sbi {sbi.__version__}, torch {torch.__version__}", "method": args.method, "settings": vars(args) | TRAIN}
    quiet = {"show_progress_bars": False}

    if args.method == "snpe":
        trainer = NPE_C(prior=prior, density_estimator="nsf", **quiet)
        epochs, seconds, proposal = [], {"simulate and draw": 0.0, "train": 0.0}, prior
        for _ in range(args.rounds):
            begin = time.perf_counter()
            theta = proposal.sample((args.per_round,)) if proposal is prior else proposal.sample((args.per_round,), **quiet)
            x = slcp(theta)
            seconds["simulate and draw"] += time.perf_counter() - begin
            trainer.append_simulations(theta, x, proposal=proposal)
            estimator, took = timed(lambda: trainer.train(num_atoms=10, **TRAIN))
            seconds["train"] += took
            epochs.append(int(trainer.summary["epochs_trained"][-1]))
            proposal = trainer.build_posterior(estimator).set_default_x(observed[:1])
            print(json.dumps({"round": len(epochs), "epochs": epochs[-1], **seconds}), flush=True)
        result["train"] = {"total_s": sum(seconds.values()), **seconds, "epochs": epochs}
        _, result["sample_s"] = timed(lambda: proposal.sample((args.draws,), **quiet))
    else:
        theta, x = load(args.theta), load(args.x)
        if args.method == "nle":
            trainer = NLE(prior=prior, density_estimator="maf", **quiet)
            extra = {}
        else:
            trainer = NRE_B(prior=prior, classifier="resnet", **quiet)
            extra = {"num_atoms": 10}
        trainer.append_simulations(theta, x)
        estimator, total = timed(lambda: trainer.train(**extra, **TRAIN))
        result["train"] = {"total_s": total, "epochs": [int(trainer.summary["epochs_trained"][-1])]}
        print(json.dumps(result["train"]), flush=True)
        posterior = trainer.build_posterior(
            estimator,
            sample_with="mcmc",
            mcmc_method="slice_np_vectorized",
            mcmc_parameters={"num_chains": args.chains, "warmup_steps": args.warmup, "thin": args.thin},
        )
        _, result["sample_s"] = timed(lambda: posterior.sample_batched((args.draws,), x=observed, **quiet))
    result["total_s"] = result["train"]["total_s"] + result["sample_s"]
    with open(args.out, "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    print(json.dumps({k: result[k] for k in ("train", "sample_s", "total_s")}))


if __name__ == "__main__":
    main()
