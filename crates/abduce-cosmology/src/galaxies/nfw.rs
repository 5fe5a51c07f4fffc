//! Positions and velocities inside a halo with the profile of Navarro, Frenk & White (1997, astro-ph/9611107).

use crate::massfunction::nfw_mass;
use abduce_data::Rng;

/// The radius, in units of the halo's, that holds the fraction `u` of the mass within concentration `c`: m(c r)/m(c) = u, by bisection and Newton.
pub fn radius_of_fraction(u: f64, c: f64) -> f64 {
    let target = u * nfw_mass(c);
    let (mut low, mut high) = (0.0, c);
    // m(x) ~ x²/2 at small x.
    let mut x = (2.0 * target).sqrt().min(c);
    for _ in 0..60 {
        let f = nfw_mass(x) - target;
        if f > 0.0 {
            high = x
        } else {
            low = x
        }
        let step = f / (x / ((1.0 + x) * (1.0 + x)));
        let next = x - step;
        let next = if next > low && next < high { next } else { 0.5 * (low + high) };
        if (next - x).abs() <= 1e-12 * c {
            break;
        }
        x = next;
    }
    x / c
}

/// σ_r²(x)/V², the radial velocity dispersion of isotropic orbits at x scale radii, in units of the circular velocity V at the halo's radius
/// (Łokas & Mamon 2001, astro-ph/0002395, Eq. 13 with β = 0): σ² = (c/m(c)) x (1 + x)² ∫_x^∞ m(s)/(s³ (1 + s)²) ds.
pub fn dispersion2(x: f64, c: f64) -> f64 {
    let x = x.max(1e-6);
    // s = x/t turns the integral into one over (0, 1]: ∫ m(x/t) t/(x² (1 + x/t)²) dt, smooth up to a logarithm at t = 0.
    let steps = 64;
    let h = 1.0 / f64::from(steps);
    let integrand = |t: f64| {
        let s = x / t;
        nfw_mass(s) * t / (x * x * (1.0 + s) * (1.0 + s))
    };
    // Two Gauss points per panel: fourth order, and t = 0 is never touched.
    let offset = 0.5 / 3f64.sqrt();
    let integral: f64 = (0..steps)
        .map(|i| {
            let middle = (f64::from(i) + 0.5) * h;
            0.5 * h * (integrand(middle - offset * h) + integrand(middle + offset * h))
        })
        .sum();
    c / nfw_mass(c) * x * (1.0 + x) * (1.0 + x) * integral
}

/// A direction, uniform on the sphere.
pub(crate) fn direction(rng: &mut Rng) -> [f64; 3] {
    let z = 2.0 * rng.uniform() - 1.0;
    let (sin, cos) = libm::sincos(std::f64::consts::TAU * rng.uniform());
    let r = (1.0 - z * z).max(0.0).sqrt();
    [r * cos, r * sin, z]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverse_undoes_the_mass() {
        for c in [1.0, 5.0, 20.0] {
            for u in [1e-6, 0.01, 0.3, 0.9, 1.0] {
                let r = radius_of_fraction(u, c);
                assert!((nfw_mass(c * r) / nfw_mass(c) - u).abs() < 1e-9, "{c} {u} {r}");
            }
        }
    }

    /// Against the closed form of Łokas & Mamon for β = 0 is long; against Simpson in ln s with 20 000 points is as good.
    #[test]
    fn dispersion_solves_the_jeans_equation() {
        for x in [0.05, 0.5, 3.0, 10.0f64] {
            let c = 10.0;
            let n = 20_000;
            let (low, high) = (x.ln(), (x * 1e6).ln());
            let h = (high - low) / n as f64;
            let f = |y: f64| {
                let s: f64 = y.exp();
                nfw_mass(s) / (s * s * (1.0 + s) * (1.0 + s))
            };
            let sum: f64 = (0..=n)
                .map(|i| {
                    f(low + h * i as f64)
                        * if i == 0 || i == n {
                            1.0
                        } else if i % 2 == 1 {
                            4.0
                        } else {
                            2.0
                        }
                })
                .sum();
            let exact = c / nfw_mass(c) * x * (1.0 + x).powi(2) * sum * h / 3.0;
            let found = dispersion2(x, c);
            // The quadrature's error is largest where the logarithm at t = 0 matters: 1e-3.
            assert!((found / exact - 1.0).abs() < 1e-3, "{x}: {found} against {exact}");
        }
    }
}
