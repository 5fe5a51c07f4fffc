//! Distributions of one parameter: density, draws, support and moments, with arguments already checked.

use super::special::{HALF_LN_TAU, integrate, log_bessel_i0, log_beta, log_normal_density, log_normal_mass, softplus, x_log_y};
use super::tabulated::Tabulated;
use super::{Interval, PriorError};
use abduce_data::Rng;
use std::f64::consts::{LN_2, PI, TAU};

/// One parameter's distribution. Formulae: [`PriorSpec`](super::PriorSpec).
#[derive(Clone, Debug)]
pub(super) enum Univariate {
    Uniform {
        low: f64,
        high: f64,
    },
    Normal {
        loc: f64,
        scale: f64,
    },
    LogNormal {
        loc: f64,
        scale: f64,
    },
    TruncatedNormal {
        loc: f64,
        scale: f64,
        low: f64,
        high: f64,
    },
    Beta {
        a: f64,
        b: f64,
    },
    Cauchy {
        loc: f64,
        scale: f64,
    },
    FisherSnedecor {
        df1: f64,
        df2: f64,
    },
    /// Also χ² (shape df/2, rate ½) and the exponential (shape 1).
    Gamma {
        shape: f64,
        rate: f64,
    },
    Gumbel {
        loc: f64,
        scale: f64,
    },
    HalfCauchy {
        scale: f64,
    },
    HalfNormal {
        scale: f64,
    },
    Laplace {
        loc: f64,
        scale: f64,
    },
    Pareto {
        scale: f64,
        alpha: f64,
    },
    StudentT {
        df: f64,
        loc: f64,
        scale: f64,
    },
    VonMises {
        loc: f64,
        concentration: f64,
    },
    Weibull {
        scale: f64,
        shape: f64,
    },
    Tabulated(Tabulated),
}

impl Univariate {
    /// Checks what involves more than one argument.
    pub(super) fn check_support(&self, family: &'static str, index: usize) -> Result<(), PriorError> {
        let Interval { low, high } = self.support();
        if low >= high {
            return Err(PriorError::EmptyInterval { family, index, low, high });
        }
        let (inner_low, inner_high) = self.support().interior_f32();
        if inner_low >= inner_high {
            return Err(PriorError::BelowSinglePrecision { family, index, low, high });
        }
        Ok(())
    }

    pub(super) fn support(&self) -> Interval {
        match *self {
            Self::Uniform { low, high } | Self::TruncatedNormal { low, high, .. } => Interval { low, high },
            Self::Normal { .. } | Self::Cauchy { .. } | Self::Gumbel { .. } | Self::Laplace { .. } | Self::StudentT { .. } => {
                Interval::REAL
            }
            Self::LogNormal { .. }
            | Self::FisherSnedecor { .. }
            | Self::Gamma { .. }
            | Self::HalfCauchy { .. }
            | Self::HalfNormal { .. }
            | Self::Weibull { .. } => Interval::POSITIVE,
            Self::Beta { .. } => Interval { low: 0.0, high: 1.0 },
            Self::Pareto { scale, .. } => Interval { low: scale, high: f64::INFINITY },
            Self::VonMises { .. } => Interval { low: -PI, high: PI },
            Self::Tabulated(ref table) => table.support(),
        }
    }

    pub(super) fn sample(&self, rng: &mut Rng) -> f64 {
        let theta = match *self {
            Self::Uniform { low, high } => low + (high - low) * rng.uniform(),
            Self::Normal { loc, scale } => loc + scale * rng.normal(),
            Self::LogNormal { loc, scale } => libm::exp(loc + scale * rng.normal()),
            Self::TruncatedNormal { loc, scale, low, high } => {
                loc + scale * rng.truncated_normal((low - loc) / scale, (high - loc) / scale)
            }
            Self::Beta { a, b } => rng.beta(a, b),
            Self::Cauchy { loc, scale } => loc + scale * rng.cauchy(),
            Self::FisherSnedecor { df1, df2 } => {
                let numerator = rng.chi2(df1) / df1;
                numerator / (rng.chi2(df2) / df2)
            }
            Self::Gamma { shape, rate } => rng.gamma(shape) / rate,
            Self::Gumbel { loc, scale } => loc - scale * libm::log(rng.exponential()),
            Self::HalfCauchy { scale } => (scale * rng.cauchy()).abs(),
            Self::HalfNormal { scale } => (scale * rng.normal()).abs(),
            Self::Laplace { loc, scale } => {
                let size = scale * rng.exponential();
                if rng.next_u64() & 1 == 0 { loc + size } else { loc - size }
            }
            Self::Pareto { scale, alpha } => scale * libm::exp(rng.exponential() / alpha),
            Self::StudentT { df, loc, scale } => loc + scale * rng.student_t(df),
            Self::VonMises { loc, concentration } => wrap_angle(loc + rng.von_mises(concentration)),
            Self::Weibull { scale, shape } => scale * libm::pow(rng.exponential(), 1.0 / shape),
            Self::Tabulated(ref table) => table.sample(rng),
        };
        self.support().clamp_inside(theta)
    }

    /// ln p(θ); −∞ outside the support and where the density diverges at its edge.
    pub(super) fn log_prob(&self, theta: f64) -> f64 {
        if !self.support().contains(theta) {
            return f64::NEG_INFINITY;
        }
        let log_p = match *self {
            Self::Uniform { low, high } => -libm::log(high - low),
            Self::Normal { loc, scale } => log_normal_density((theta - loc) / scale) - libm::log(scale),
            Self::LogNormal { loc, scale } => {
                let log_theta = libm::log(theta);
                if log_theta == f64::NEG_INFINITY {
                    return log_theta;
                }
                log_normal_density((log_theta - loc) / scale) - libm::log(scale) - log_theta
            }
            Self::TruncatedNormal { loc, scale, low, high } => {
                let log_mass = log_normal_mass((low - loc) / scale, (high - loc) / scale);
                log_normal_density((theta - loc) / scale) - libm::log(scale) - log_mass
            }
            Self::Beta { a, b } => {
                let log_rest = if b == 1.0 { 0.0 } else { (b - 1.0) * libm::log1p(-theta) };
                x_log_y(a - 1.0, theta) + log_rest - log_beta(a, b)
            }
            Self::Cauchy { loc, scale } => {
                let z = (theta - loc) / scale;
                -libm::log(PI * scale) - log_1_plus_square(z)
            }
            Self::FisherSnedecor { df1, df2 } => {
                let log_ratio = libm::log(df1 / df2);
                let tail = 0.5 * (df1 + df2) * softplus(log_ratio + libm::log(theta));
                0.5 * df1 * log_ratio + x_log_y(0.5 * df1 - 1.0, theta) - tail - log_beta(0.5 * df1, 0.5 * df2)
            }
            Self::Gamma { shape, rate } => shape * libm::log(rate) + x_log_y(shape - 1.0, theta) - rate * theta - libm::lgamma(shape),
            Self::Gumbel { loc, scale } => {
                let y = (theta - loc) / scale;
                -y - libm::exp(-y) - libm::log(scale)
            }
            Self::HalfCauchy { scale } => LN_2 - libm::log(PI * scale) - log_1_plus_square(theta / scale),
            Self::HalfNormal { scale } => LN_2 + log_normal_density(theta / scale) - libm::log(scale),
            Self::Laplace { loc, scale } => -(theta - loc).abs() / scale - libm::log(2.0 * scale),
            Self::Pareto { scale, alpha } => libm::log(alpha) + alpha * libm::log(scale) - (alpha + 1.0) * libm::log(theta),
            Self::StudentT { df, loc, scale } => {
                let z = (theta - loc) / scale;
                log_student_norm(df) - libm::log(scale) - 0.5 * (df + 1.0) * log_1_plus_square(z / df.sqrt())
            }
            Self::VonMises { loc, concentration } => {
                // cos x − 1 = −2 sin²(x/2): no cancellation at large κ.
                let sin = libm::sin(0.5 * (theta - loc));
                -2.0 * concentration * sin * sin + concentration - log_bessel_i0(concentration) - libm::log(TAU)
            }
            Self::Weibull { scale, shape } => {
                let y = theta / scale;
                libm::log(shape / scale) + x_log_y(shape - 1.0, y) - libm::pow(y, shape)
            }
            Self::Tabulated(ref table) => table.log_prob(theta),
        };
        if log_p.is_finite() { log_p } else { f64::NEG_INFINITY }
    }

    /// Mean, where it exists.
    pub(super) fn mean(&self) -> Option<f64> {
        Some(match *self {
            Self::Uniform { low, high } => 0.5 * (low + high),
            Self::Normal { loc, .. } | Self::Laplace { loc, .. } => loc,
            Self::LogNormal { loc, scale } => libm::exp(loc + 0.5 * scale * scale),
            Self::TruncatedNormal { .. } | Self::VonMises { .. } => self.moments_by_quadrature().0,
            Self::Beta { a, b } => a / (a + b),
            Self::Cauchy { .. } | Self::HalfCauchy { .. } => return None,
            Self::FisherSnedecor { df2, .. } if df2 > 2.0 => df2 / (df2 - 2.0),
            Self::Gamma { shape, rate } => shape / rate,
            Self::Gumbel { loc, scale } => loc + scale * EULER_GAMMA,
            Self::HalfNormal { scale } => scale * (2.0 / PI).sqrt(),
            Self::Pareto { scale, alpha } if alpha > 1.0 => scale * alpha / (alpha - 1.0),
            Self::StudentT { df, loc, .. } if df > 1.0 => loc,
            Self::FisherSnedecor { .. } | Self::Pareto { .. } | Self::StudentT { .. } => return None,
            Self::Weibull { scale, shape } => scale * libm::tgamma(1.0 + 1.0 / shape),
            Self::Tabulated(ref table) => table.moments().0,
        })
    }

    /// Standard deviation, where it exists.
    pub(super) fn std(&self) -> Option<f64> {
        Some(match *self {
            Self::Uniform { low, high } => (high - low) / 12f64.sqrt(),
            Self::Normal { scale, .. } => scale,
            Self::LogNormal { loc, scale } => libm::exp(loc + 0.5 * scale * scale) * libm::expm1(scale * scale).sqrt(),
            Self::TruncatedNormal { .. } | Self::VonMises { .. } => self.moments_by_quadrature().1,
            Self::Beta { a, b } => (a * b / (a + b + 1.0)).sqrt() / (a + b),
            Self::Cauchy { .. } | Self::HalfCauchy { .. } => return None,
            Self::FisherSnedecor { df1, df2 } if df2 > 4.0 => df2 / (df2 - 2.0) * (2.0 * (df1 + df2 - 2.0) / (df1 * (df2 - 4.0))).sqrt(),
            Self::Gamma { shape, rate } => shape.sqrt() / rate,
            Self::Gumbel { scale, .. } => scale * PI / 6f64.sqrt(),
            Self::HalfNormal { scale } => scale * (1.0 - 2.0 / PI).sqrt(),
            Self::Laplace { scale, .. } => scale * 2f64.sqrt(),
            Self::Pareto { scale, alpha } if alpha > 2.0 => scale / (alpha - 1.0) * (alpha / (alpha - 2.0)).sqrt(),
            Self::StudentT { df, scale, .. } if df > 2.0 => scale * (df / (df - 2.0)).sqrt(),
            Self::FisherSnedecor { .. } | Self::Pareto { .. } | Self::StudentT { .. } => return None,
            Self::Weibull { scale, shape } => {
                let mean = libm::tgamma(1.0 + 1.0 / shape);
                scale * (libm::tgamma(1.0 + 2.0 / shape) - mean * mean).max(0.0).sqrt()
            }
            Self::Tabulated(ref table) => table.moments().1,
        })
    }

    /// Mean and standard deviation of the two families whose closed forms cancel or do not exist, over the part of the support that holds all
    /// but 1e-17 of the mass.
    fn moments_by_quadrature(&self) -> (f64, f64) {
        let pieces = match *self {
            Self::TruncatedNormal { loc, scale, low, high } => {
                let (a, b) = ((low - loc) / scale, (high - loc) / scale);
                // Beyond the density's largest value in [a, b] it has dropped by e^{−40} within 9 widths, or 40/|peak| in a tail.
                let peak = 0.0f64.clamp(a, b);
                let reach = if peak == 0.0 { 9.0 } else { f64::min(9.0, 40.0 / peak.abs()) };
                let inside = |z: f64| loc + scale * z.clamp(a, b);
                vec![(inside(peak - reach), inside(peak + reach))]
            }
            Self::VonMises { loc, concentration } => {
                let reach = f64::min(PI, 14.0 / concentration.sqrt());
                let centre = wrap_angle(loc);
                let (low, high) = (centre - reach, centre + reach);
                // What reaches over ±π re-enters at the other end.
                if low < -PI {
                    vec![(-PI, high.min(low + TAU)), (low + TAU, PI)]
                } else if high > PI {
                    vec![(low.max(high - TAU), PI), (-PI, high - TAU)]
                } else {
                    vec![(low, high)]
                }
            }
            _ => return (f64::NAN, f64::NAN),
        };
        let expect = |f: &dyn Fn(f64) -> f64| -> f64 {
            pieces.iter().map(|&(low, high)| integrate(low, high, 32, |theta| libm::exp(self.log_prob(theta)) * f(theta))).sum()
        };
        let mass = expect(&|_| 1.0);
        let mean = expect(&|theta| theta) / mass;
        (mean, (expect(&|theta| (theta - mean) * (theta - mean)) / mass).sqrt())
    }
}

const EULER_GAMMA: f64 = 0.577_215_664_901_532_9;

/// The angle in [−π, π].
fn wrap_angle(angle: f64) -> f64 {
    angle - TAU * (angle / TAU).round()
}

/// ln(1 + z²) without overflow.
fn log_1_plus_square(z: f64) -> f64 {
    if z.abs() > 1e100 { 2.0 * libm::log(z.abs()) } else { libm::log1p(z * z) }
}

/// ln [Γ((ν+1)/2)/(Γ(ν/2) √(νπ))]; for large ν by its expansion about the normal, where the difference of two lgammas would cancel.
fn log_student_norm(df: f64) -> f64 {
    if df > 1e6 {
        return -HALF_LN_TAU - 0.25 / df;
    }
    libm::lgamma(0.5 * (df + 1.0)) - libm::lgamma(0.5 * df) - 0.5 * libm::log(PI * df)
}
