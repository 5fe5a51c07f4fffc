"""npe_run.py --theta T.npy --x X.npy --prior-low L… --prior-high H… -o OUT.json: one whole NPE run of sbi with its default NSF, timed.

The training arrays are those of `abduce simulate` (theta.npy (N, d), x.npy (N, m), float32), so that both programs train on the same pairs.
Network, batch 200, Adam 5e-4, validation share 0.1, stop after 20 epochs without improvement and clipping at 5 are sbi's defaults, stated
in the call. Written to OUT.json:

  train.total_s, train.epochs, train.epoch_s {median, mean, first}  wall time of train(); sbi's own clock of each epoch
  train.best_validation_log_prob                              mean per row, θ in its own units
  held_out.unnormalised {mean, sem, n}                        log q(θ|x), the flow's density, which leaks out of the prior's box
  held_out.correction {mean, sem, n}                          −log(mass of the flow inside the box) at each x, by sbi's leakage_correction
  held_out.normalised                                         sum of the two means: comparable with a density normalised over the box
  sample.loop_s, sample.batched_s                             all observations × draws: one sample() per observation; one sample_batched()

With --log-prob the held-out values are written as (n, 2) float64 [unnormalised, correction]; with --draws the posterior draws as
(n_obs, draws, d) float32. The correction draws at least --leakage-draws samples at each of the first --leakage-points test rows: it
takes far longer than the density itself.
"""

import argparse
import json
import math
import time
import warnings

import numpy as np
import torch

warnings.filterwarnings("ignore")


def load(path):
    array = np.load(path, allow_pickle=False)
    return torch.from_numpy(np.ascontiguousarray(array.reshape(len(array), -1), dtype=np.float32))


def mean_sem(values):
    return {"mean": float(np.mean(values)), "sem": float(np.std(values, ddof=1) / math.sqrt(len(values))), "n": len(values)}


def timed(work):
    begin = time.perf_counter()
    result = work()
    return result, time.perf_counter() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--theta", required=True)
    parser.add_argument("--x", required=True)
    parser.add_argument("--prior-low", type=float, nargs="+", required=True)
    parser.add_argument("--prior-high", type=float, nargs="+", required=True)
    parser.add_argument("-o", "--out", required=True)
    parser.add_argument("--test-theta")
    parser.add_argument("--test-x")
    parser.add_argument("--observations", help="(n_obs, m) .npy")
    parser.add_argument("--n-draws", type=int, default=10_000)
    parser.add_argument("--leakage-points", type=int, default=200)
    parser.add_argument("--leakage-draws", type=int, default=10_000)
    parser.add_argument("--log-prob", help="write the held-out values here")
    parser.add_argument("--draws", help="write the posterior draws here")
    parser.add_argument("--model", default="nsf", help="any name sbi's NPE takes")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, default=200)
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--stop-after", type=int, default=20)
    parser.add_argument("--max-epochs", type=int, default=2**31 - 1, help="for a short check only")
    args = parser.parse_args()

    import sbi
    from sbi.inference import NPE
    from sbi.utils import BoxUniform

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    np.random.seed(args.seed % 2**32)
    theta, x = load(args.theta), load(args.x)
    d = theta.shape[1]

    def bounds(values):
        if len(values) not in (1, d):
            parser.error(f"prior bounds: one number or {d}, not {len(values)}")
        return torch.tensor(values).expand(d).clone()

    prior = BoxUniform(bounds(args.prior_low), bounds(args.prior_high))
    trainer = NPE(prior=prior, density_estimator=args.model, show_progress_bars=False)
    trainer.append_simulations(theta, x)
    settings = {
        "training_batch_size": args.batch,
        "learning_rate": args.learning_rate,
        "validation_fraction": 0.1,
        "stop_after_epochs": args.stop_after,
        "max_num_epochs": args.max_epochs,
        "clip_max_norm": 5.0,
    }
    estimator, total = timed(lambda: trainer.train(**settings))
    epochs = trainer.summary["epoch_durations_sec"]
    result = {
        "peer": f"sbi {sbi.__version__}, torch {torch.__version__}",
        "model": args.model,
        "threads": torch.get_num_threads(),
        "seed": args.seed,
        "simulations": len(theta),
        "settings": settings,
        "train": {
            "total_s": total,
            "epochs": int(trainer.summary["epochs_trained"][-1]),
            "epoch_s": {"median": float(np.median(epochs)), "mean": float(np.mean(epochs)), "first": float(epochs[0])},
            "best_validation_log_prob": -float(trainer.summary["best_validation_loss"][-1]),
            "parameters": sum(p.numel() for p in estimator.parameters()),
        },
    }
    posterior = trainer.build_posterior(estimator)

    if args.test_theta and args.test_x:
        test_theta, test_x = load(args.test_theta), load(args.test_x)
        with torch.no_grad():
            raw, raw_s = timed(lambda: posterior.log_prob_batched(test_theta, test_x, norm_posterior=False))
        raw = raw.reshape(-1).double().numpy()
        points = min(args.leakage_points, len(test_x))

        def corrections():
            mass = [posterior.leakage_correction(row[None], num_rejection_samples=args.leakage_draws) for row in test_x[:points]]
            return -np.log(np.array([float(m) for m in mass]))

        correction, correction_s = timed(corrections)
        result["held_out"] = {
            "unnormalised": mean_sem(raw),
            "unnormalised_s": raw_s,
            "correction": mean_sem(correction),
            "correction_s": correction_s,
            "normalised": float(np.mean(raw) + np.mean(correction)),
        }
        if args.log_prob:
            both = np.full((len(raw), 2), np.nan)
            both[:, 0], both[:points, 1] = raw, correction
            np.save(args.log_prob, both)

    if args.observations:
        observed = load(args.observations)
        shape = (args.n_draws,)
        draws, loop_s = timed(lambda: torch.stack([posterior.sample(shape, x=o, show_progress_bars=False) for o in observed]))
        _, batched_s = timed(lambda: posterior.sample_batched(shape, x=observed, show_progress_bars=False))
        result["sample"] = {"observations": len(observed), "draws": args.n_draws, "loop_s": loop_s, "batched_s": batched_s}
        if args.draws:
            np.save(args.draws, draws.numpy().astype(np.float32))

    with open(args.out, "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    print(json.dumps(result["train"] | {k: result[k] for k in ("held_out", "sample") if k in result}))


if __name__ == "__main__":
    main()
