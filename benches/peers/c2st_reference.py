"""c2st_reference.py REFERENCE.npy SAMPLES.npy [--folds 5] [--seed 1]: the classifier two-sample test of the sbi benchmark, by scikit-learn.

Both arrays are (n, d), or (n_obs, n, d) for one score per observation. Both are scaled with the mean and the (n − 1) standard deviation of
the reference; class 0 is the reference, class 1 the samples. Classifier: two hidden layers of 10 d, ReLU, Adam (rate 1e-3, batch 200,
L2 1e-4), until the training loss has not fallen by 1e-4 for 10 epochs (at most 10 000 epochs). Score: mean held-out accuracy of a shuffled
5-fold split. 0.5 means that the samples cannot be told apart. Scores at other sizes than 10 000 against 10 000 are not comparable.
Prints one line of JSON: {"c2st": [...], "mean", "n", "d", "seconds"}.
"""

import argparse
import json
import time

import numpy as np
from sklearn.model_selection import KFold, cross_val_score
from sklearn.neural_network import MLPClassifier


def c2st(reference, samples, folds, seed):
    mean, std = reference.mean(0), reference.std(0, ddof=1)
    data = np.concatenate([(reference - mean) / std, (samples - mean) / std])
    label = np.repeat([0, 1], [len(reference), len(samples)])
    width = 10 * reference.shape[1]
    classifier = MLPClassifier(
        hidden_layer_sizes=(width, width),
        activation="relu",
        solver="adam",
        alpha=1e-4,
        batch_size=200,
        learning_rate_init=1e-3,
        max_iter=10_000,
        tol=1e-4,
        n_iter_no_change=10,
        random_state=seed,
    )
    split = KFold(n_splits=folds, shuffle=True, random_state=seed)
    return float(cross_val_score(classifier, data, label, cv=split, scoring="accuracy").mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference")
    parser.add_argument("samples")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--observations", type=int, nargs="+", help="rows of a (n_obs, n, d) array, counted from 0; all if not given")
    parser.add_argument("--limit", type=int, help="only the first draws of each, for a short check")
    args = parser.parse_args()
    reference, samples = (np.load(path, allow_pickle=False).astype(np.float64) for path in (args.reference, args.samples))
    if reference.ndim == 2:
        reference, samples = reference[None], samples[None]
    if reference.shape[0] != samples.shape[0] or reference.shape[2] != samples.shape[2]:
        parser.error(f"shapes {reference.shape} and {samples.shape} do not belong together")
    rows = args.observations or range(len(reference))
    begin = time.perf_counter()
    scores = [c2st(reference[i, : args.limit], samples[i, : args.limit], args.folds, args.seed) for i in rows]
    answer = {"c2st": scores, "mean": float(np.mean(scores)), "n": reference[:, : args.limit].shape[1], "d": reference.shape[2]}
    print(json.dumps(answer | {"seconds": time.perf_counter() - begin}))


if __name__ == "__main__":
    main()
