"""toy_port.py -o OUT.json: the notebook of LtU-ILI's toy with only the import changed, timed and compared with the exact posterior.

  data      θ ~ U[0,1]³, y_j = 3 θ0 sin t_j + θ1 t_j² − 2 θ2 t_j + N(0, 1), 20 points t on [0, 10]; 4500 training and 500 test pairs
  nets      2 × MAF (50 hidden, 5 transforms) and 2 × MDN (50 hidden, 10 components), batch 32, learning rate 1e-3
  coverage  500 observations × 1000 draws with all figures

The model is linear with normal noise: its posterior is a normal cut to the box, and log p(θ | x) of the test pairs is exact but for the mass inside the box, which
is a mean over 400 000 draws. What a posterior loses against it, the mean of log p − log q over the test pairs, is an estimate of the mean KL divergence.

Pairs may be given as arrays, so that toy_ili.py sees the same ones; its OUT.json, if named, is compared.
"""

import argparse
import json
import time

import numpy as np

import abduce as ili

T = np.linspace(0.0, 10.0, 20)
DESIGN = np.stack([3 * np.sin(T), T**2, -2 * T], axis=1)


def simulate(n, rng):
    theta = rng.uniform(size=(n, 3))
    return theta.astype(np.float32), (theta @ DESIGN.T + rng.normal(size=(n, 20))).astype(np.float32)


def exact_log_prob(theta, x, rng, draws=400_000):
    """log p(θ | x) of pairs, paired."""
    precision = DESIGN.T @ DESIGN
    covariance = np.linalg.inv(precision)
    mean = x @ DESIGN @ covariance
    noise = rng.standard_normal((draws, 3)) @ np.linalg.cholesky(covariance).T
    inside = np.array([((noise > -m) & (noise < 1 - m)).all(axis=1).mean() for m in mean])
    off = theta - mean
    quadratic = np.einsum("ni,ij,nj->n", off, precision, off)
    return -0.5 * quadratic + 0.5 * np.linalg.slogdet(precision)[1] - 1.5 * np.log(2 * np.pi) - np.log(inside)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", required=True)
    for name in ("--theta", "--x", "--test-theta", "--test-x"):
        parser.add_argument(name)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--peer", help="OUT.json of toy_ili.py on the same pairs")
    args = parser.parse_args()
    rng = np.random.default_rng(1)
    given = [np.load(file, allow_pickle=False) for file in (args.theta, args.x, args.test_theta, args.test_x) if file]
    theta, x, test_theta, test_x = given if len(given) == 4 else (*simulate(4500, rng), *simulate(500, rng))
    exact = exact_log_prob(test_theta.astype(float), test_x.astype(float), np.random.default_rng(2))

    runs = []
    for seed in range(args.seeds):
        begun = time.perf_counter()
        # From here to the end of the coverage: the notebook.
        prior = ili.utils.Uniform(low=[0, 0, 0], high=[1, 1, 1])
        nets = [
            ili.utils.load_nde_sbi(engine="NPE", model="maf", hidden_features=50, num_transforms=5, repeats=2),
            ili.utils.load_nde_sbi(engine="NPE", model="mdn", hidden_features=50, num_components=10, repeats=2),
        ]
        train_args = {"training_batch_size": 32, "learning_rate": 1e-3}
        runner = ili.inference.InferenceRunner.load(backend="sbi", engine="NPE", prior=prior, nets=nets, train_args=train_args)
        posterior, summaries = runner(ili.dataloaders.NumpyLoader(x=x, theta=theta), seed=seed)
        trained = time.perf_counter()
        plots = ["coverage", "histogram", "predictions", "tarp", "logprob"]
        metric = ili.validation.PosteriorCoverage(plot_list=plots, num_samples=1000, sample_method="direct", labels=["a", "b", "c"])
        figures = metric(posterior, test_x, test_theta)
        covered = time.perf_counter()
        assert len(figures) == 5
        loss = exact - np.asarray(posterior.log_prob(test_theta, test_x))
        runs.append({"train_s": trained - begun, "coverage_s": covered - trained, "kl": float(loss.mean()), "kl_sem": float(loss.std() / np.sqrt(len(loss)))})

    total = [run["train_s"] + run["coverage_s"] for run in runs]
    result = {"exact_log_prob": float(exact.mean()), "runs": runs, "total_s": float(np.median(total))}
    if args.peer:
        result["peer_kl"] = float(exact.mean()) - json.load(open(args.peer))["held_out_log_prob"]["mean"]
    with open(args.out, "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
