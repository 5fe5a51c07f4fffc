//! From what a user wrote to checked blocks.

use super::cholesky::Cholesky;
use super::empirical::Empirical;
use super::multivariate::{MultivariateNormal, TruncatedMultivariateNormal};
use super::spec::*;
use super::tabulated::Tabulated;
use super::univariate::Univariate;
use super::{Block, Interval, PriorError};

/// The independent blocks of a prior, in the order of its parameters.
pub(super) fn blocks(spec: &PriorSpec) -> Result<Vec<Block>, PriorError> {
    match spec {
        PriorSpec::Uniform(Bounds { low, high }) => {
            let reader = Arguments::new("uniform", &[("low", low), ("high", high)])?;
            reader.univariate([Range::Finite; 2], |[low, high]| Univariate::Uniform { low, high })
        }
        PriorSpec::Normal(a) => location_scale("normal", a, |loc, scale| Univariate::Normal { loc, scale }),
        PriorSpec::LogNormal(a) => location_scale("log_normal", a, |loc, scale| Univariate::LogNormal { loc, scale }),
        PriorSpec::TruncatedNormal(TruncatedLocationScale { loc, scale, low, high }) => {
            let reader = Arguments::new("truncated_normal", &[("loc", loc), ("scale", scale), ("low", low), ("high", high)])?;
            reader.univariate([Range::Finite, Range::Positive, Range::Number, Range::Number], |[loc, scale, low, high]| {
                Univariate::TruncatedNormal { loc, scale, low, high }
            })
        }
        PriorSpec::Beta(BetaShapes { concentration1, concentration0 }) => {
            let reader = Arguments::new("beta", &[("concentration1", concentration1), ("concentration0", concentration0)])?;
            reader.univariate([Range::Positive; 2], |[a, b]| Univariate::Beta { a, b })
        }
        PriorSpec::Cauchy(a) => location_scale("cauchy", a, |loc, scale| Univariate::Cauchy { loc, scale }),
        PriorSpec::Chi2(DegreesOfFreedom { df }) => {
            Arguments::new("chi2", &[("df", df)])?.univariate([Range::Positive], |[df]| Univariate::Gamma { shape: 0.5 * df, rate: 0.5 })
        }
        PriorSpec::Exponential(Rate { rate }) => {
            Arguments::new("exponential", &[("rate", rate)])?.univariate([Range::Positive], |[rate]| Univariate::Gamma { shape: 1.0, rate })
        }
        PriorSpec::FisherSnedecor(TwoDegreesOfFreedom { df1, df2 }) => Arguments::new("fisher_snedecor", &[("df1", df1), ("df2", df2)])?
            .univariate([Range::Positive; 2], |[df1, df2]| Univariate::FisherSnedecor { df1, df2 }),
        PriorSpec::Gamma(ConcentrationRate { concentration, rate }) => {
            Arguments::new("gamma", &[("concentration", concentration), ("rate", rate)])?
                .univariate([Range::Positive; 2], |[shape, rate]| Univariate::Gamma { shape, rate })
        }
        PriorSpec::Gumbel(a) => location_scale("gumbel", a, |loc, scale| Univariate::Gumbel { loc, scale }),
        PriorSpec::HalfCauchy(Scale { scale }) => {
            Arguments::new("half_cauchy", &[("scale", scale)])?.univariate([Range::Positive], |[scale]| Univariate::HalfCauchy { scale })
        }
        PriorSpec::HalfNormal(Scale { scale }) => {
            Arguments::new("half_normal", &[("scale", scale)])?.univariate([Range::Positive], |[scale]| Univariate::HalfNormal { scale })
        }
        PriorSpec::Laplace(a) => location_scale("laplace", a, |loc, scale| Univariate::Laplace { loc, scale }),
        PriorSpec::Pareto(ScaleAlpha { scale, alpha }) => Arguments::new("pareto", &[("scale", scale), ("alpha", alpha)])?
            .univariate([Range::Positive; 2], |[scale, alpha]| Univariate::Pareto { scale, alpha }),
        PriorSpec::StudentT(StudentArguments { df, loc, scale }) => {
            let reader = Arguments::new("student_t", &[("df", df), ("loc", loc), ("scale", scale)])?;
            reader.univariate([Range::Positive, Range::Finite, Range::Positive], |[df, loc, scale]| Univariate::StudentT { df, loc, scale })
        }
        PriorSpec::VonMises(LocationConcentration { loc, concentration }) => {
            Arguments::new("von_mises", &[("loc", loc), ("concentration", concentration)])?
                .univariate([Range::Finite, Range::Positive], |[loc, concentration]| Univariate::VonMises { loc, concentration })
        }
        PriorSpec::Weibull(ScaleConcentration { scale, concentration }) => {
            Arguments::new("weibull", &[("scale", scale), ("concentration", concentration)])?
                .univariate([Range::Positive; 2], |[scale, shape]| Univariate::Weibull { scale, shape })
        }
        PriorSpec::Tabulated(Table { theta, density }) => {
            let one = Univariate::Tabulated(Tabulated::new(theta, density)?);
            one.check_support("tabulated", 0)?;
            Ok(vec![Block::One(one)])
        }
        PriorSpec::MultivariateNormal(arguments) => multivariate_normal(arguments),
        PriorSpec::LowRankMultivariateNormal(arguments) => low_rank(arguments),
        PriorSpec::MultivariateTruncatedNormal(arguments) => truncated_multivariate(arguments),
        PriorSpec::Empirical(arguments) => empirical(arguments),
        PriorSpec::Joint(specs) => {
            let mut all = Vec::new();
            for spec in specs {
                all.extend(blocks(spec)?);
            }
            if all.is_empty() { Err(PriorError::NoParameters { family: "joint" }) } else { Ok(all) }
        }
    }
}

/// Which values an argument may take.
#[derive(Clone, Copy)]
enum Range {
    /// Within the range of single precision, in which θ is stored.
    Finite,
    Positive,
    /// Finite or infinite, but not NaN.
    Number,
}

impl Range {
    fn check(self, family: &'static str, argument: &'static str, index: usize, value: f64) -> Result<(), PriorError> {
        let (holds, expected) = match self {
            Self::Finite => (value.abs() <= f64::from(f32::MAX), "a finite number below 3.4e38 in size"),
            Self::Positive => (value.is_finite() && value > 0.0, "a positive, finite number"),
            Self::Number => (!value.is_nan(), "a number"),
        };
        if holds { Ok(()) } else { Err(PriorError::Value { family, argument, index, value, expected }) }
    }
}

/// Named arguments of one family, broadcast to a common number of parameters.
struct Arguments<'a, const N: usize> {
    family: &'static str,
    named: [(&'static str, &'a PerParameter); N],
    parameters: usize,
}

impl<'a, const N: usize> Arguments<'a, N> {
    fn new(family: &'static str, named: &[(&'static str, &'a PerParameter); N]) -> Result<Self, PriorError> {
        let parameters = named.iter().map(|(_, values)| values.as_slice().len()).max().unwrap_or(0);
        let shortest = named.iter().map(|(_, values)| values.as_slice().len()).min().unwrap_or(0);
        if shortest == 0 {
            return Err(PriorError::NoParameters { family });
        }
        let reader = Self { family, named: *named, parameters };
        for (argument, values) in named {
            broadcast(family, argument, values, parameters)?;
        }
        Ok(reader)
    }

    fn univariate(&self, ranges: [Range; N], build: impl Fn([f64; N]) -> Univariate) -> Result<Vec<Block>, PriorError> {
        (0..self.parameters)
            .map(|index| {
                let mut values = [0.0; N];
                for ((value, (argument, all)), range) in values.iter_mut().zip(self.named).zip(ranges) {
                    let all = all.as_slice();
                    *value = all[if all.len() == 1 { 0 } else { index }];
                    range.check(self.family, argument, index, *value)?;
                }
                let one = build(values);
                one.check_support(self.family, index)?;
                Ok(Block::One(one))
            })
            .collect()
    }
}

/// The argument as one value per parameter; a scalar and a list of one stand for all.
fn broadcast(family: &'static str, argument: &'static str, values: &PerParameter, parameters: usize) -> Result<Vec<f64>, PriorError> {
    match values.as_slice() {
        [value] => Ok(vec![*value; parameters]),
        all if all.len() == parameters => Ok(all.to_vec()),
        all => Err(PriorError::Length { family, argument, found: all.len(), expected: parameters }),
    }
}

fn location_scale(
    family: &'static str,
    LocationScale { loc, scale }: &LocationScale,
    build: impl Fn(f64, f64) -> Univariate,
) -> Result<Vec<Block>, PriorError> {
    Arguments::new(family, &[("loc", loc), ("scale", scale)])?
        .univariate([Range::Finite, Range::Positive], |[loc, scale]| build(loc, scale))
}

/// A list of finite numbers, one per parameter.
fn checked_vector(
    family: &'static str,
    argument: &'static str,
    values: &PerParameter,
    parameters: usize,
    range: Range,
) -> Result<Vec<f64>, PriorError> {
    let values = broadcast(family, argument, values, parameters)?;
    for (index, &value) in values.iter().enumerate() {
        range.check(family, argument, index, value)?;
    }
    Ok(values)
}

/// A matrix, flattened row-major after its shape and its values were checked.
fn checked_matrix(family: &'static str, argument: &'static str, rows: &[Vec<f64>], shape: (usize, usize)) -> Result<Vec<f64>, PriorError> {
    if rows.len() != shape.0 {
        return Err(PriorError::Length { family, argument, found: rows.len(), expected: shape.0 });
    }
    for (row, values) in rows.iter().enumerate() {
        if values.len() != shape.1 {
            return Err(PriorError::MatrixRow { family, argument, row, found: values.len(), expected: shape.1 });
        }
        for (column, &value) in values.iter().enumerate() {
            Range::Finite.check(family, argument, row * shape.1 + column, value)?;
        }
    }
    Ok(rows.concat())
}

/// Factors a symmetric positive-definite matrix; asymmetry beyond single-precision rounding is refused.
fn factor_symmetric(family: &'static str, argument: &'static str, rows: &[Vec<f64>], d: usize) -> Result<Cholesky, PriorError> {
    let matrix = checked_matrix(family, argument, rows, (d, d))?;
    for i in 0..d {
        for j in 0..i {
            let (below, above) = (matrix[i * d + j], matrix[j * d + i]);
            if (below - above).abs() > 1e-6 * (matrix[i * d + i] * matrix[j * d + j]).abs().sqrt() {
                return Err(PriorError::NotPositiveDefinite { family, argument });
            }
        }
    }
    Cholesky::factor(&matrix, d).map_err(|_| PriorError::NotPositiveDefinite { family, argument })
}

fn multivariate_normal(arguments: &MultivariateNormalArguments) -> Result<Vec<Block>, PriorError> {
    let family = "multivariate_normal";
    let MultivariateNormalArguments { loc, covariance_matrix, precision_matrix, scale_tril } = arguments;
    let d = [covariance_matrix, precision_matrix, scale_tril].into_iter().flatten().map(Vec::len).max().unwrap_or(0);
    let factor = match (covariance_matrix, precision_matrix, scale_tril) {
        (Some(covariance), None, None) => factor_symmetric(family, "covariance_matrix", covariance, d)?,
        (None, Some(precision), None) => {
            let inverse = factor_symmetric(family, "precision_matrix", precision, d)?.inverse();
            Cholesky::factor(&inverse, d).map_err(|_| PriorError::NotPositiveDefinite { family, argument: "precision_matrix" })?
        }
        (None, None, Some(lower)) => {
            let lower = checked_matrix(family, "scale_tril", lower, (d, d))?;
            for i in 0..d {
                Range::Positive.check(family, "scale_tril", i * d + i, lower[i * d + i])?;
                if let Some(j) = (i + 1..d).find(|&j| lower[i * d + j] != 0.0) {
                    let value = lower[i * d + j];
                    return Err(PriorError::Value {
                        family,
                        argument: "scale_tril",
                        index: i * d + j,
                        value,
                        expected: "0 above the diagonal",
                    });
                }
            }
            Cholesky::from_lower(lower, d)
        }
        _ => {
            let found = [covariance_matrix, precision_matrix, scale_tril].into_iter().flatten().count();
            return Err(PriorError::CovarianceForms { found });
        }
    };
    if d == 0 {
        return Err(PriorError::NoParameters { family });
    }
    let loc = checked_vector(family, "loc", loc, d, Range::Finite)?;
    Ok(vec![Block::Normal(MultivariateNormal::new(loc, factor))])
}

fn low_rank(LowRankArguments { loc, cov_factor, cov_diag }: &LowRankArguments) -> Result<Vec<Block>, PriorError> {
    let family = "low_rank_multivariate_normal";
    let d = cov_factor.len();
    let rank = cov_factor.first().map_or(0, Vec::len);
    if d == 0 {
        return Err(PriorError::NoParameters { family });
    }
    let w = checked_matrix(family, "cov_factor", cov_factor, (d, rank))?;
    let diagonal = checked_vector(family, "cov_diag", cov_diag, d, Range::Positive)?;
    let loc = checked_vector(family, "loc", loc, d, Range::Finite)?;
    let mut covariance = vec![0.0; d * d];
    for i in 0..d {
        for j in 0..d {
            covariance[i * d + j] = (0..rank).map(|k| w[i * rank + k] * w[j * rank + k]).sum();
        }
        covariance[i * d + i] += diagonal[i];
    }
    let factor = Cholesky::factor(&covariance, d).map_err(|_| PriorError::NotPositiveDefinite { family, argument: "cov_diag" })?;
    Ok(vec![Block::Normal(MultivariateNormal::new(loc, factor))])
}

fn truncated_multivariate(arguments: &TruncatedMultivariateArguments) -> Result<Vec<Block>, PriorError> {
    let family = "multivariate_truncated_normal";
    let TruncatedMultivariateArguments { loc, covariance_matrix, low, high } = arguments;
    let d = covariance_matrix.len();
    if d == 0 {
        return Err(PriorError::NoParameters { family });
    }
    let factor = factor_symmetric(family, "covariance_matrix", covariance_matrix, d)?;
    let loc = checked_vector(family, "loc", loc, d, Range::Finite)?;
    let support = intervals(family, low, high, d)?;
    Ok(vec![Block::TruncatedNormal(TruncatedMultivariateNormal::new(MultivariateNormal::new(loc, factor), support)?)])
}

fn empirical(EmpiricalArguments { draws, low, high, bandwidth }: &EmpiricalArguments) -> Result<Vec<Block>, PriorError> {
    let family = "empirical";
    let d = draws.first().map_or(0, Vec::len);
    if d == 0 {
        return Err(PriorError::NoParameters { family });
    }
    checked_matrix(family, "draws", draws, (draws.len(), d))?;
    if let Some(bandwidth) = *bandwidth {
        Range::Positive.check(family, "bandwidth", 0, bandwidth)?;
    }
    Ok(vec![Block::Empirical(Empirical::new(draws, intervals(family, low, high, d)?, *bandwidth)?)])
}

fn intervals(family: &'static str, low: &PerParameter, high: &PerParameter, d: usize) -> Result<Vec<Interval>, PriorError> {
    let low = checked_vector(family, "low", low, d, Range::Number)?;
    let high = checked_vector(family, "high", high, d, Range::Number)?;
    let mut support = Vec::with_capacity(d);
    for (index, (low, high)) in low.into_iter().zip(high).enumerate() {
        if low >= high {
            return Err(PriorError::EmptyInterval { family, index, low, high });
        }
        let (inner_low, inner_high) = Interval { low, high }.interior_f32();
        if inner_low >= inner_high {
            return Err(PriorError::BelowSinglePrecision { family, index, low, high });
        }
        support.push(Interval { low, high });
    }
    Ok(support)
}
