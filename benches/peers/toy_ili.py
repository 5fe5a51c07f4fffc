"""toy_ili.py -o OUT.json: the three-parameter toy of LtU-ILI through sbi, as a stand-in for ltu-ili itself.

ltu-ili has no licence, takes a dependency from a git address and fails with sbi ≥ 0.26, so it is not installed here. Its sbi backend hands
the work to sbi; this driver takes the same steps through sbi directly, without ltu-ili's own bookkeeping, files and plots, which can only
make the stand-in faster than the original:

  data      θ ~ U[0,1]³, y_j = 3 θ0 sin t_j + θ1 t_j² − 2 θ2 t_j + N(0, 1), 20 points t on [0, 10]; 4500 training and 500 test pairs
  nets      2 × MAF (50 hidden, 5 transforms) and 2 × MDN (50 hidden, 10 components), one after the other, on one shared split
  training  batch 32, Adam 1e-3, validation share 0.1, stop after 20 epochs without improvement, clipping at 5, best weights restored
  weights   softmax of the best mean validation log-probabilities
  coverage  sbi's ensemble posterior sampled at one test observation after the other, 1000 draws each; ranks, PIT, predictions, TARP

Pairs may be given as arrays so that both programs see the same ones. OUT.json: per net train_s, epochs, best validation; train_s, sample_s,
statistics_s, and what shows that the result is sound: mean held-out log-prob of the mixture, largest distance of each parameter's PIT from
uniform, RMSE.
"""

import argparse
import json
import math
import time
import warnings

import numpy as np
import torch

warnings.filterwarnings("ignore")


def simulate(n, rng):
    t = np.linspace(0.0, 10.0, 20)
    theta = rng.uniform(size=(n, 3))
    mean = 3 * theta[:, :1] * np.sin(t) + theta[:, 1:2] * t**2 - 2 * theta[:, 2:] * t
    return theta.astype(np.float32), (mean + rng.normal(size=mean.shape)).astype(np.float32)


def pairs(theta_file, x_file, n, rng):
    if theta_file and x_file:
        theta, x = np.load(theta_file, allow_pickle=False), np.load(x_file, allow_pickle=False)
    else:
        theta, x = simulate(n, rng)
    return torch.from_numpy(theta.astype(np.float32)), torch.from_numpy(x.reshape(len(x), -1).astype(np.float32))


def builder(model, index, args):
    """A builder with an initialisation of its own: the seed before training is the same for all nets, so that they share the split."""
    from sbi.neural_nets import posterior_nn

    sizes = {"num_transforms": 5} if model == "maf" else {"num_components": args.components}
    build = posterior_nn(model, hidden_features=50, **sizes)

    def seeded(theta, x):
        torch.manual_seed(1000 * args.seed + index)
        return build(theta, x)

    return seeded


def tarp(samples, truth, rng):
    """Coverage fractions with uniform random references: samples (n, draws, d), truth (n, d), both scaled by the range of the truth."""
    low, high = truth.min(0), truth.max(0)
    samples, truth = (samples - low) / (high - low), (truth - low) / (high - low)
    reference = rng.uniform(size=truth.shape)
    near = np.linalg.norm(truth - reference, axis=1)
    return (np.linalg.norm(samples - reference[:, None], axis=2) < near[:, None]).mean(1)


def from_uniform(values):
    """Largest distance of the empirical distribution from U(0, 1)."""
    v = np.sort(values)
    n = len(v)
    return float(max(np.max(np.arange(1, n + 1) / n - v), np.max(v - np.arange(n) / n)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", required=True)
    parser.add_argument("--theta")
    parser.add_argument("--x")
    parser.add_argument("--test-theta")
    parser.add_argument("--test-x")
    parser.add_argument("--simulations", type=int, default=4500)
    parser.add_argument("--tests", type=int, default=500)
    parser.add_argument("--n-draws", type=int, default=1000)
    parser.add_argument("--components", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--max-epochs", type=int, default=2**31 - 1, help="for a short check only")
    args = parser.parse_args()

    import sbi
    from sbi.inference import NPE, EnsemblePosterior
    from sbi.utils import BoxUniform

    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(args.seed)
    theta, x = pairs(args.theta, args.x, args.simulations, rng)
    test_theta, test_x = pairs(args.test_theta, args.test_x, args.tests, rng)
    test_theta, test_x = test_theta[: args.tests], test_x[: args.tests]
    prior = BoxUniform(torch.zeros(3), torch.ones(3))

    nets, posteriors = [], []
    for index, model in enumerate(["maf", "maf", "mdn", "mdn"]):
        torch.manual_seed(args.seed)
        trainer = NPE(prior=prior, density_estimator=builder(model, index, args), show_progress_bars=False)
        trainer.append_simulations(theta, x)
        begin = time.perf_counter()
        estimator = trainer.train(
            training_batch_size=32,
            learning_rate=1e-3,
            validation_fraction=0.1,
            stop_after_epochs=20,
            clip_max_norm=5.0,
            max_num_epochs=args.max_epochs,
        )
        nets.append(
            {
                "model": model,
                "parameters": sum(p.numel() for p in estimator.parameters()),
                "train_s": time.perf_counter() - begin,
                "epochs": int(trainer.summary["epochs_trained"][-1]),
                "best_validation_log_prob": -float(trainer.summary["best_validation_loss"][-1]),
            }
        )
        posteriors.append(trainer.build_posterior(estimator))
    weights = torch.softmax(torch.tensor([net["best_validation_log_prob"] for net in nets]), dim=0)
    ensemble = EnsemblePosterior(posteriors, weights=weights)

    begin = time.perf_counter()
    draws = [ensemble.sample((args.n_draws,), x=row, show_progress_bars=False) for row in test_x]
    sample_s = time.perf_counter() - begin

    begin = time.perf_counter()
    samples, truth = torch.stack(draws).double().numpy(), test_theta.double().numpy()
    ranks = (samples < truth[:, None]).sum(1)
    pit = (ranks + rng.uniform(size=ranks.shape)) / (args.n_draws + 1)
    mean, std = samples.mean(1), samples.std(1)
    fractions = tarp(samples, truth, rng)
    statistics_s = time.perf_counter() - begin

    with torch.no_grad():
        scores = torch.stack([p.posterior_estimator.log_prob(test_theta[None], test_x)[0] for p in posteriors])
    mixture = torch.logsumexp(scores + weights.log()[:, None], dim=0).double().numpy()
    result = {
        "peer": f"sbi {sbi.__version__}, torch {torch.__version__}, in place of ltu-ili",
        "threads": torch.get_num_threads(),
        "seed": args.seed,
        "simulations": len(theta),
        "nets": nets,
        "weights": weights.tolist(),
        "train_s": sum(net["train_s"] for net in nets),
        "sample_s": sample_s,
        "statistics_s": statistics_s,
        "observations": len(test_x),
        "draws": args.n_draws,
        "held_out_log_prob": {"mean": float(mixture.mean()), "sem": float(mixture.std(ddof=1) / math.sqrt(len(mixture)))},
        "pit_distance": [from_uniform(pit[:, i]) for i in range(3)],
        "tarp_distance": from_uniform(fractions),
        "rmse": np.sqrt(((mean - truth) ** 2).mean(0)).tolist(),
        "z_std": ((truth - mean) / std).std(0).tolist(),
    }
    with open(args.out, "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    print(json.dumps({k: result[k] for k in ("train_s", "sample_s", "statistics_s", "held_out_log_prob", "pit_distance", "tarp_distance")}))


if __name__ == "__main__":
    main()
