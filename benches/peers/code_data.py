"""code_data.py FOLDER [--tng SHARED/data/tng-galaxies]: the data of section "Ordered codes" of VERIFICATION.md, for `abduce compress train`.

s_curve.npy, s_curve_test.npy   10 000 rows each of scikit-learn's S-curve, t ~ U(-3π/2, 3π/2), with noise N(0, 0.1²) on every axis
disk1*.npy, disk2*.npy          10 000 images of 32 x 32 and 2 000 for tests: disks of radius r ~ U(2, 5) pixels with centres ~ U(r, 32 - r)², pixels 1
                                where they lie inside one of the disks; two disks may overlap. disk1_soft*.npy: edges one pixel wide
tng100.npy, tng50.npy           log10 of the seven properties of the galaxies (two of them are logarithms already), rows with a zero left out

Runs of these commands give the same bytes everywhere: numpy's PCG64 with the seeds below.
"""

import argparse
from pathlib import Path

import numpy as np


def s_curve(n, seed):
    rng = np.random.default_rng(seed)
    t = 3 * np.pi * (rng.random(n) - 0.5)
    x = np.stack([np.sin(t), 2 * rng.random(n), np.sign(t) * (np.cos(t) - 1)], axis=1)
    return x + 0.1 * rng.standard_normal(x.shape)


def disks(n, count, seed, edge):
    """edge 0: a pixel is in or out; otherwise a linear ramp of that many pixels across the rim."""
    rng = np.random.default_rng(seed)
    size = 32
    i, j = np.mgrid[:size, :size]
    images = np.zeros((n, size, size))
    for image in images:
        for _ in range(count):
            r = rng.uniform(2, 5)
            x, y = rng.uniform(r, size - r, 2)
            inside = r - np.hypot(i - x, j - y)
            np.maximum(image, inside > 0 if edge == 0 else np.clip(inside / edge + 0.5, 0, 1), out=image)
    return images


def galaxies(path):
    table = np.genfromtxt(path, delimiter=",", names=True)
    logarithms = ("log_mstar", "log_mgas")
    x = np.stack([table[name] for name in table.dtype.names if name != "id"], axis=1)
    names = [name for name in table.dtype.names if name != "id"]
    x = x[np.all(x > 0, axis=1)]
    return np.stack([column if name in logarithms else np.log10(column) for name, column in zip(names, x.T)], axis=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tng", type=Path)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)

    def save(name, x):
        np.save(args.folder / f"{name}.npy", x.astype(np.float32))

    save("s_curve", s_curve(10_000, 1))
    save("s_curve_test", s_curve(10_000, 2))
    for count in (1, 2):
        for name, edge in (("", 0), ("_soft", 1)):
            save(f"disk{count}{name}", disks(10_000, count, 10 + count, edge))
            save(f"disk{count}{name}_test", disks(2_000, count, 20 + count, edge))
    if args.tng:
        for name in ("tng100", "tng50"):
            save(name, galaxies(args.tng / f"{name}.csv"))


if __name__ == "__main__":
    main()
