"""Linear theory, particle-mesh runs, groups and spectra over numpy arrays.

Lengths are comoving Mpc/h, wave numbers h/Mpc, velocities peculiar physical km/s. Models are flat; what is not given is that of the fiducial Quijote
simulations.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import _native

__all__ = [
    "Bispectrum",
    "Cosmology",
    "Groups",
    "Growth",
    "PowerSpectrum",
    "Snapshot",
    "bispectrum",
    "friends_of_friends",
    "growth",
    "linear_power",
    "power_spectrum",
    "simulate",
]

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
U32 = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Cosmology:
    """A flat universe."""

    omega_m: float = 0.3175
    omega_b: float = 0.049
    h: float = 0.6711
    n_s: float = 0.9624
    sigma8: float = 0.834
    w0: float = -1.0
    wa: float = 0.0


class Growth(NamedTuple):
    """Linear growth D (1 today), f = d ln D/d ln a, second-order growth D2 (negative) and d ln D2/d ln a."""

    d1: F64
    f1: F64
    d2: F64
    f2: F64


class Snapshot(NamedTuple):
    """Particles at a scale factor: positions and velocities (n, 3)."""

    a: float
    positions: F32
    velocities: F32


class Groups(NamedTuple):
    """Friends of friends: the label of each particle (the smallest index in its group), and the members of each group that is kept, by falling size."""

    labels: U32
    members: list[U32]


class PowerSpectrum(NamedTuple):
    """Multipoles by bin [(Mpc/h)³]; p0 includes the shot noise. `k` is the mean over the modes of a bin."""

    k: F64
    modes: F64
    p0: F64
    p2: F64
    p4: F64
    shot_noise: float


class Bispectrum(NamedTuple):
    """B [(Mpc/h)⁶] of the triangles with sides `k123` (n, 3), with and without shot noise, and the reduced Q without."""

    k123: F64
    b0: F64
    b0_without_shot_noise: F64
    q: F64
    counts: F64
    shot_noise: float


def _universe(cosmology: Cosmology | None, **sections: Any) -> str:
    return json.dumps({"cosmology": asdict(cosmology or Cosmology()), **sections})


def _positions(positions: npt.ArrayLike) -> F32:
    return np.ascontiguousarray(positions, dtype=np.float32)


def linear_power(
    k: npt.ArrayLike, cosmology: Cosmology | None = None, z: float = 0.0, transfer: str = "boltzmann", threads: int | None = None
) -> F64:
    """P(k) of matter in linear theory [(Mpc/h)³] by the Boltzmann equations ("boltzmann") or the fit of Eisenstein and Hu ("eisenstein_hu")."""
    wave = np.asarray(k, dtype=np.float64)
    text = _universe(cosmology, simulation={"transfer": transfer})
    return np.asarray(_native.linear_power(text, wave.ravel().tolist(), 1.0 / (1.0 + z), threads)).reshape(wave.shape)


def growth(a: npt.ArrayLike, cosmology: Cosmology | None = None) -> Growth:
    """Growth at scale factors."""
    scale = np.asarray(a, dtype=np.float64)
    values = np.asarray(_native.growth(_universe(cosmology), scale.ravel().tolist()))
    return Growth(*(values[:, i].reshape(scale.shape) for i in range(4)))


def simulate(cosmology: Cosmology | None = None, threads: int | None = None, **simulation: Any) -> list[Snapshot]:
    """Snapshots of a particle-mesh run; keywords are those of the section `simulation` (`abduce explain simulation`): box_size, particles, redshifts, seed, …"""
    found = _native.simulate_universe(_universe(cosmology, simulation=simulation), threads)
    return [Snapshot(*one) for one in found]


def friends_of_friends(
    positions: npt.ArrayLike, box_size: float, linking: float = 0.2, min_particles: int = 20, threads: int | None = None
) -> Groups:
    """Groups in a periodic box, linked below `linking` mean spacings."""
    labels, members, starts = _native.friends_of_friends(_positions(positions), box_size, linking, min_particles, threads)
    return Groups(labels, [members[first:last] for first, last in zip(starts[:-1], starts[1:], strict=True)])


def power_spectrum(
    positions: npt.ArrayLike,
    box_size: float,
    mesh: int = 128,
    width: float | None = None,
    line_of_sight: int = 2,
    threads: int | None = None,
) -> PowerSpectrum:
    """P0, P2, P4 of points in a periodic box (triangular-shaped clouds, interlaced), in bins of `width` (2π/L by default)."""
    return PowerSpectrum(**_native.power_spectrum(_positions(positions), box_size, mesh, width, line_of_sight, threads))


def bispectrum(
    positions: npt.ArrayLike, box_size: float, width: float, k_max: float, mesh: int = 128, threads: int | None = None
) -> Bispectrum:
    """B of points in a periodic box for all triangles of shells of `width` up to `k_max`."""
    return Bispectrum(**_native.bispectrum(_positions(positions), box_size, mesh, width, k_max, threads))
