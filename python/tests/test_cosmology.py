"""Cosmology over arrays, against closed forms and brute force."""

import numpy as np
import pytest

import abduce
from abduce import cosmology


def test_growth_and_power_follow_from_each_other():
    einstein_de_sitter = cosmology.Cosmology(omega_m=1.0, omega_b=0.05)
    a = np.array([[0.25, 0.5], [0.75, 1.0]])
    found = cosmology.growth(a, einstein_de_sitter)
    # D = a, f = 1, D2 = -3/7 a^2: tables in a, to 1e-5.
    assert found.d1.shape == (2, 2)
    np.testing.assert_allclose(found.d1, a, rtol=1e-5)
    np.testing.assert_allclose(found.f1, 1.0, rtol=1e-5)
    np.testing.assert_allclose(found.d2, -3 / 7 * a**2, rtol=1e-4)
    k = np.geomspace(1e-3, 5, 200)
    power = cosmology.linear_power(k, transfer="eisenstein_hu")
    later = cosmology.linear_power(k, z=1.0, transfer="eisenstein_hu")
    np.testing.assert_allclose(later / power, cosmology.growth(0.5).d1 ** 2, rtol=1e-12)
    # sigma8 by the integral over spheres of 8 Mpc/h; the range of k leaves out less than 1e-3 of it.
    x = 8 * k
    window = 3 * (np.sin(x) - x * np.cos(x)) / x**3
    sigma8 = np.sqrt(np.trapezoid(power * window**2 * k**3 / (2 * np.pi**2), np.log(k)))
    assert abs(sigma8 / 0.834 - 1) < 2e-3


def test_simulation_groups_and_spectra():
    run = dict(box_size=100.0, particles=24, mesh_factor=2, steps=5, redshifts=[1, 0], seed=3)
    snapshots = cosmology.simulate(threads=1, **run)
    assert [round(s.a, 6) for s in snapshots] == [0.5, 1.0]
    x = snapshots[1].positions
    assert x.shape == (24**3, 3) and x.dtype == np.float32 and x.min() >= 0 and x.max() <= 100
    assert np.array_equal(cosmology.simulate(threads=2, **run)[1].positions, x)

    groups = cosmology.friends_of_friends(x, 100.0, min_particles=10)
    sizes = [len(group) for group in groups.members]
    assert sizes and sizes == sorted(sizes, reverse=True) and sizes[-1] >= 10
    counts = np.bincount(groups.labels)
    assert sorted(counts[counts >= 10], reverse=True) == sizes
    assert all(len(set(groups.labels[group])) == 1 for group in groups.members)

    p = cosmology.power_spectrum(x, 100.0, mesh=48)
    assert p.k[0] == pytest.approx(2 * np.pi / 100 * 1.2, rel=0.3) and p.shot_noise == pytest.approx(1e6 / 24**3)
    early = cosmology.power_spectrum(snapshots[0].positions, 100.0, mesh=48)
    # Linear growth of the largest modes, to the coupling that there is at this size.
    ratio = (cosmology.growth(1.0).d1 / cosmology.growth(0.5).d1) ** 2
    assert p.p0[0] / early.p0[0] == pytest.approx(float(ratio), rel=0.15)
    b = cosmology.bispectrum(x, 100.0, width=0.2, k_max=0.6, mesh=48)
    assert b.k123.shape == (len(b.b0), 3) and np.all(b.k123[:, 0] <= b.k123[:, 2])
    free = b.b0 - b.b0_without_shot_noise
    assert np.all(free > 0)


def test_points_without_structure_have_shot_noise_alone():
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 50, (20_000, 3))
    p = cosmology.power_spectrum(x, 50.0, mesh=32, width=0.2)
    # Standard error of the mean of the bins: 1/sqrt of all modes; five of them.
    mean = np.sum(p.p0 * p.modes) / np.sum(p.modes) / p.shot_noise
    assert abs(mean - 1) < 5 / np.sqrt(np.sum(p.modes))


def test_wrong_input_is_an_error_in_words():
    with pytest.raises(abduce.ConfigError, match="paticles"):
        cosmology.simulate(paticles=8)
    with pytest.raises(ValueError, match="omega_m"):
        cosmology.growth(0.5, cosmology.Cosmology(omega_m=-1))
    with pytest.raises(ValueError, match="not finite"):
        cosmology.friends_of_friends([[np.nan, 0, 0], [1, 1, 1]], 10.0)
    with pytest.raises(abduce.ShapeError, match="expected"):
        cosmology.power_spectrum(np.zeros((3, 2)), 10.0)
    with pytest.raises(ValueError, match="width"):
        cosmology.bispectrum(np.zeros((3, 3)), 10.0, width=-1, k_max=1)
