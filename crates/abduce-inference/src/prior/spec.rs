//! What a user writes to choose a prior: plain data, checked by [`Prior::new`](super::Prior::new).

use schemars::JsonSchema;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A prior over the parameters θ, as written in a configuration: `{FAMILY: {ARGUMENT: VALUES, …}}`, for example
/// `uniform: {low: [0, 0], high: [1, 2]}`.
///
/// Arguments are lists with one value per parameter; a single number stands for all parameters. Every family but the last six is a product of
/// independent one-parameter distributions. The LtU-ILI class names (`Uniform`, `IndependentNormal`, …) are accepted in place of ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PriorSpec {
    /// 1/(high − low) on [low, high].
    #[serde(alias = "Uniform", alias = "IndependentUniform", alias = "BoxUniform")]
    Uniform(Bounds),
    /// Normal with mean `loc` and standard deviation `scale`.
    #[serde(alias = "IndependentNormal")]
    Normal(LocationScale),
    /// ln θ is normal with mean `loc` and standard deviation `scale`; θ > 0.
    #[serde(alias = "IndependentLogNormal")]
    LogNormal(LocationScale),
    /// Normal(`loc`, `scale`) restricted to [low, high]; either bound may be infinite.
    #[serde(alias = "IndependentTruncatedNormal")]
    TruncatedNormal(TruncatedLocationScale),
    /// ∝ θ^{concentration1 − 1} (1 − θ)^{concentration0 − 1} on (0, 1).
    #[serde(alias = "IndependentBeta")]
    Beta(BetaShapes),
    /// 1/(π scale (1 + ((θ − loc)/scale)²)); has neither mean nor variance.
    #[serde(alias = "IndependentCauchy")]
    Cauchy(LocationScale),
    /// χ² with `df` degrees of freedom, θ > 0.
    #[serde(alias = "IndependentChi2")]
    Chi2(DegreesOfFreedom),
    /// rate e^{−rate θ}, θ > 0.
    #[serde(alias = "IndependentExponential")]
    Exponential(Rate),
    /// F distribution with `df1` and `df2` degrees of freedom, θ > 0.
    #[serde(alias = "IndependentFisherSnedecor")]
    FisherSnedecor(TwoDegreesOfFreedom),
    /// ∝ θ^{concentration − 1} e^{−rate θ}, θ > 0.
    #[serde(alias = "IndependentGamma")]
    Gamma(ConcentrationRate),
    /// Distribution of maxima: with y = (θ − loc)/scale, e^{−y − e^{−y}}/scale.
    #[serde(alias = "IndependentGumbel")]
    Gumbel(LocationScale),
    /// |Cauchy(0, scale)|.
    #[serde(alias = "IndependentHalfCauchy")]
    HalfCauchy(Scale),
    /// |Normal(0, scale)|.
    #[serde(alias = "IndependentHalfNormal")]
    HalfNormal(Scale),
    /// e^{−|θ − loc|/scale}/(2 scale).
    #[serde(alias = "IndependentLaplace")]
    Laplace(LocationScale),
    /// alpha scale^alpha θ^{−alpha − 1}, θ > scale.
    #[serde(alias = "IndependentPareto")]
    Pareto(ScaleAlpha),
    /// `loc` + `scale` t, t with `df` degrees of freedom.
    #[serde(alias = "IndependentStudentT")]
    StudentT(StudentArguments),
    /// ∝ e^{concentration cos(θ − loc)} on the interval [−π, π].
    #[serde(alias = "IndependentVonMises")]
    VonMises(LocationConcentration),
    /// With y = θ/scale, (concentration/scale) y^{concentration − 1} e^{−y^concentration}, θ > 0.
    #[serde(alias = "IndependentWeibull")]
    Weibull(ScaleConcentration),
    /// One parameter whose density is linear between the points of a table.
    Tabulated(Table),
    /// Normal with mean `loc` and one of three forms of the covariance.
    #[serde(alias = "MultivariateNormal")]
    MultivariateNormal(MultivariateNormalArguments),
    /// Normal with mean `loc` and covariance `cov_factor` `cov_factor`ᵀ + diag(`cov_diag`).
    #[serde(alias = "LowRankMultivariateNormal")]
    LowRankMultivariateNormal(LowRankArguments),
    /// Normal with mean `loc` and `covariance_matrix`, restricted to the box [low, high].
    #[serde(alias = "MultivariateTruncatedNormal")]
    MultivariateTruncatedNormal(TruncatedMultivariateArguments),
    /// A kernel density estimate from draws of θ.
    Empirical(EmpiricalArguments),
    /// Independent priors of different families, their parameters in the order of the list.
    Joint(Vec<Self>),
}

/// One number for all parameters, or one per parameter. Infinities are written `inf` and `-inf`.
#[derive(Clone, Debug, PartialEq, JsonSchema)]
#[schemars(untagged)]
pub enum PerParameter {
    /// The same value for every parameter.
    All(f64),
    /// One value per parameter.
    Each(Vec<f64>),
}

impl PerParameter {
    /// The values as a slice; a scalar is a slice of one.
    pub fn as_slice(&self) -> &[f64] {
        match self {
            Self::All(value) => std::slice::from_ref(value),
            Self::Each(values) => values,
        }
    }
}

impl From<f64> for PerParameter {
    fn from(value: f64) -> Self {
        Self::All(value)
    }
}

impl From<Vec<f64>> for PerParameter {
    fn from(values: Vec<f64>) -> Self {
        Self::Each(values)
    }
}

impl<const N: usize> From<[f64; N]> for PerParameter {
    fn from(values: [f64; N]) -> Self {
        Self::Each(values.to_vec())
    }
}

/// A number that survives JSON, which has no infinities: they travel as the strings "inf" and "-inf".
struct Number(f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 == f64::INFINITY {
            serializer.serialize_str("inf")
        } else if self.0 == f64::NEG_INFINITY {
            serializer.serialize_str("-inf")
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_any(NumbersVisitor)? {
            PerParameter::All(value) => Ok(Self(value)),
            PerParameter::Each(_) => Err(D::Error::custom("expected a number, found a list inside a list")),
        }
    }
}

impl Serialize for PerParameter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All(value) => Number(*value).serialize(serializer),
            Self::Each(values) => serializer.collect_seq(values.iter().map(|&value| Number(value))),
        }
    }
}

impl<'de> Deserialize<'de> for PerParameter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumbersVisitor)
    }
}

/// Reads a number or a list of numbers; a derived untagged enum would only say "did not match any variant".
struct NumbersVisitor;

impl<'de> Visitor<'de> for NumbersVisitor {
    type Value = PerParameter;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number or a list of numbers")
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(PerParameter::All(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(PerParameter::All(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(PerParameter::All(value as f64))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        match text {
            "inf" | "+inf" | ".inf" => Ok(PerParameter::All(f64::INFINITY)),
            "-inf" | "-.inf" => Ok(PerParameter::All(f64::NEG_INFINITY)),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Number(value)) = sequence.next_element()? {
            values.push(value);
        }
        Ok(PerParameter::Each(values))
    }
}

/// Declares the plain argument structs: documented public fields, unknown keys refused.
macro_rules! arguments {
    ($($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty),* $(,)? })*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
            #[serde(deny_unknown_fields)]
            pub struct $name { $($(#[$field_meta])* pub $field: $type,)* }
        )*
    };
}

arguments! {
    /// Bounds of an interval.
    Bounds {
        /// Lower bounds.
        #[serde(alias = "lower")]
        low: PerParameter,
        /// Upper bounds.
        #[serde(alias = "upper")]
        high: PerParameter,
    }
    /// Location and scale.
    LocationScale {
        /// Location: mean, median or mode.
        loc: PerParameter,
        /// Scale, positive.
        scale: PerParameter,
    }
    /// Location and scale of the untruncated normal, and the interval it is restricted to.
    TruncatedLocationScale {
        /// Mean of the untruncated normal.
        loc: PerParameter,
        /// Standard deviation of the untruncated normal.
        scale: PerParameter,
        /// Lower bounds, possibly -inf.
        #[serde(alias = "lower")]
        low: PerParameter,
        /// Upper bounds, possibly inf.
        #[serde(alias = "upper")]
        high: PerParameter,
    }
    /// Shapes of a beta distribution.
    BetaShapes {
        /// Exponent of θ plus one, positive (often α).
        concentration1: PerParameter,
        /// Exponent of 1 − θ plus one, positive (often β).
        concentration0: PerParameter,
    }
    /// Degrees of freedom.
    DegreesOfFreedom {
        /// Positive, not necessarily an integer.
        df: PerParameter,
    }
    /// Degrees of freedom of the numerator and the denominator.
    TwoDegreesOfFreedom {
        /// Of the numerator, positive.
        df1: PerParameter,
        /// Of the denominator, positive.
        df2: PerParameter,
    }
    /// A rate.
    Rate {
        /// Inverse of the mean, positive.
        rate: PerParameter,
    }
    /// Shape and rate of a gamma distribution.
    ConcentrationRate {
        /// Shape, positive.
        concentration: PerParameter,
        /// Inverse scale, positive.
        rate: PerParameter,
    }
    /// A scale.
    Scale {
        /// Positive.
        scale: PerParameter,
    }
    /// Scale and exponent of a Pareto distribution.
    ScaleAlpha {
        /// The smallest value, positive.
        scale: PerParameter,
        /// Exponent, positive.
        alpha: PerParameter,
    }
    /// Arguments of Student's t.
    StudentArguments {
        /// Degrees of freedom, positive.
        df: PerParameter,
        /// Location (default 0).
        #[serde(default = "zero")]
        loc: PerParameter,
        /// Scale, positive (default 1).
        #[serde(default = "one")]
        scale: PerParameter,
    }
    /// Direction and concentration of a von Mises distribution.
    LocationConcentration {
        /// Mean direction in radians.
        loc: PerParameter,
        /// κ, positive; about 1/variance when large.
        concentration: PerParameter,
    }
    /// Scale and shape of a Weibull distribution.
    ScaleConcentration {
        /// Positive.
        scale: PerParameter,
        /// Shape, positive.
        concentration: PerParameter,
    }
    /// A density known at points.
    Table {
        /// Points, increasing; the first and last are the bounds of the support.
        theta: Vec<f64>,
        /// Density at the points up to a factor, not negative.
        density: Vec<f64>,
    }
    /// Mean and covariance of a multivariate normal; exactly one of the three forms of the covariance.
    MultivariateNormalArguments {
        /// Mean, one value per parameter.
        loc: PerParameter,
        /// Covariance, symmetric and positive definite.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        covariance_matrix: Option<Vec<Vec<f64>>>,
        /// Inverse covariance, symmetric and positive definite.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        precision_matrix: Option<Vec<Vec<f64>>>,
        /// Lower-triangular L with positive diagonal, covariance L Lᵀ.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scale_tril: Option<Vec<Vec<f64>>>,
    }
    /// Mean and covariance of a low-rank multivariate normal.
    LowRankArguments {
        /// Mean, one value per parameter.
        loc: PerParameter,
        /// W: one row per parameter, one column per factor.
        cov_factor: Vec<Vec<f64>>,
        /// Diagonal added to W Wᵀ, positive.
        cov_diag: PerParameter,
    }
    /// A multivariate normal and the box it is restricted to.
    TruncatedMultivariateArguments {
        /// Mean of the untruncated normal, one value per parameter.
        loc: PerParameter,
        /// Covariance of the untruncated normal, symmetric and positive definite.
        covariance_matrix: Vec<Vec<f64>>,
        /// Lower bounds, possibly -inf.
        #[serde(alias = "lower")]
        low: PerParameter,
        /// Upper bounds, possibly inf.
        #[serde(alias = "upper")]
        high: PerParameter,
    }
    /// Draws that define a kernel density estimate.
    EmpiricalArguments {
        /// Rows of θ.
        draws: Vec<Vec<f64>>,
        /// Lower bounds of the support (default: none).
        #[serde(default = "minus_infinity", alias = "lower")]
        low: PerParameter,
        /// Upper bounds of the support (default: none).
        #[serde(default = "infinity", alias = "upper")]
        high: PerParameter,
        /// Kernel width as a fraction of the draws' own covariance (default: Scott's rule n^{−1/(d+4)}).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bandwidth: Option<f64>,
    }
}

fn zero() -> PerParameter {
    PerParameter::All(0.0)
}

fn one() -> PerParameter {
    PerParameter::All(1.0)
}

fn infinity() -> PerParameter {
    PerParameter::All(f64::INFINITY)
}

fn minus_infinity() -> PerParameter {
    PerParameter::All(f64::NEG_INFINITY)
}
