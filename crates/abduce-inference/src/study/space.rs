//! What may vary: named dimensions, each mapped onto the unit interval.

use super::StudyError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Values of a trial by dimension; those whose condition does not hold are absent.
pub type Params = BTreeMap<String, Value>;

/// How a numeric dimension is spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Evenly.
    #[default]
    Linear,
    /// Evenly in the logarithm.
    Log,
}

impl Scale {
    fn forward(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => libm::log(value),
        }
    }

    fn backward(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => libm::exp(value),
        }
    }
}

/// The values of a dimension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Domain {
    /// Integers low ..= high. On the unit interval each has the cell of [value − ½, value + ½].
    Int {
        /// Smallest.
        low: i64,
        /// Largest.
        high: i64,
        /// Spread.
        scale: Scale,
    },
    /// Real numbers low ..= high.
    Float {
        /// Smallest.
        low: f64,
        /// Largest.
        high: f64,
        /// Spread.
        scale: Scale,
    },
    /// One of these.
    Choice(Vec<Value>),
}

/// A dimension exists only where another one has one of some values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// The other dimension.
    pub dimension: String,
    /// Its values.
    pub among: Vec<Value>,
}

/// One hyper-parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dimension {
    /// Its name.
    pub name: String,
    /// Its values.
    pub domain: Domain,
    /// When it exists; always where `None`.
    pub condition: Option<Condition>,
}

impl Dimension {
    /// One that always exists.
    pub fn new(name: &str, domain: Domain) -> Self {
        Self { name: name.to_owned(), domain, condition: None }
    }

    /// Whether it exists in a trial with these values.
    pub fn is_active(&self, params: &Params) -> bool {
        self.condition
            .as_ref()
            .is_none_or(|condition| params.get(&condition.dimension).is_some_and(|value| condition.among.contains(value)))
    }
}

/// A place on the unit interval: a cell where values are discrete.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Place {
    /// A point.
    Point(f64),
    /// The cell [low, high].
    Cell(f64, f64),
    /// Category `index` of `count`.
    Category {
        /// Which.
        index: usize,
        /// Of how many.
        count: usize,
    },
}

impl Place {
    /// The middle.
    pub(super) fn middle(self) -> f64 {
        match self {
            Self::Point(u) => u,
            Self::Cell(low, high) => 0.5 * (low + high),
            Self::Category { index, count } => (index as f64 + 0.5) / count as f64,
        }
    }
}

impl Domain {
    /// Bounds of the unit interval in the spread variable.
    fn bounds(&self) -> (f64, f64, Scale) {
        match *self {
            Self::Int { low, high, scale } => (scale.forward(low as f64 - 0.5), scale.forward(high as f64 + 0.5), scale),
            Self::Float { low, high, scale } => (scale.forward(low), scale.forward(high), scale),
            Self::Choice(_) => (0.0, 1.0, Scale::Linear),
        }
    }

    /// The value at u ∈ [0, 1].
    pub(super) fn value(&self, u: f64) -> Value {
        let (a, b, scale) = self.bounds();
        let at = scale.backward(a + u * (b - a));
        match self {
            Self::Int { low, high, .. } => json!((at.round() as i64).clamp(*low, *high)),
            Self::Float { low, high, .. } => json!(at.clamp(*low, *high)),
            Self::Choice(values) => values[((u * values.len() as f64) as usize).min(values.len() - 1)].clone(),
        }
    }

    /// Where a value lies; nothing where it is none of this domain's.
    pub(super) fn place(&self, value: &Value) -> Option<Place> {
        let (a, b, scale) = self.bounds();
        let unit = |value: f64| ((scale.forward(value) - a) / (b - a)).clamp(0.0, 1.0);
        match self {
            Self::Int { low, high, .. } => {
                let value = value.as_i64().filter(|value| (low..=high).contains(&value))?;
                Some(Place::Cell(unit(value as f64 - 0.5), unit(value as f64 + 0.5)))
            }
            Self::Float { low, high, .. } => Some(Place::Point(unit(value.as_f64().filter(|value| (low..=high).contains(&value))?))),
            Self::Choice(values) => {
                let index = values.iter().position(|known| known == value)?;
                Some(Place::Category { index, count: values.len() })
            }
        }
    }

    fn problem(&self) -> Option<String> {
        match self {
            Self::Int { low, high, scale } => match scale {
                _ if low >= high => Some(format!("the interval [{low}, {high}] holds no two integers")),
                Scale::Log if *low < 1 => Some(format!("a logarithmic scale begins at 1 or above, not at {low}")),
                _ if low.unsigned_abs().max(high.unsigned_abs()) > 1 << 52 => Some("integers beyond 2^52 are not exact".into()),
                _ => None,
            },
            Self::Float { low, high, scale } => match scale {
                _ if !(low.is_finite() && high.is_finite() && low < high) => Some(format!("the interval [{low}, {high}] is empty")),
                Scale::Log if *low <= 0.0 => Some(format!("a logarithmic scale begins above 0, not at {low}")),
                _ => None,
            },
            Self::Choice(values) if values.is_empty() => Some("there is nothing to choose from".into()),
            Self::Choice(values) => {
                let twice = values.iter().enumerate().find(|(at, value)| values[..*at].contains(value));
                twice.map(|(_, value)| format!("{value} is listed twice"))
            }
        }
    }
}

/// All that may vary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Space {
    dimensions: Vec<Dimension>,
}

impl Space {
    /// Dimensions with distinct names; one with a condition stands behind the one it depends on.
    ///
    /// # Errors
    /// A domain is empty, a name is used twice, a condition names no earlier dimension or a value that it cannot have.
    pub fn new(dimensions: Vec<Dimension>) -> Result<Self, StudyError> {
        for (at, dimension) in dimensions.iter().enumerate() {
            let fail = |reason: String| Err(StudyError::Space { dimension: dimension.name.clone(), reason });
            if let Some(reason) = dimension.domain.problem() {
                return fail(reason);
            }
            if dimensions[..at].iter().any(|other| other.name == dimension.name) {
                return fail("it is listed twice".into());
            }
            if let Some(condition) = &dimension.condition {
                let Some(parent) = dimensions[..at].iter().find(|other| other.name == condition.dimension) else {
                    return fail(format!("its condition names `{}`, which is no dimension before it", condition.dimension));
                };
                if let Some(value) = condition.among.iter().find(|value| parent.domain.place(value).is_none()) {
                    return fail(format!("its condition asks for `{}` = {value}, which it cannot have", condition.dimension));
                }
            }
        }
        Ok(Self { dimensions })
    }

    /// The dimensions.
    pub fn dimensions(&self) -> &[Dimension] {
        &self.dimensions
    }

    /// Indices of dimensions that exist together, by condition, in order.
    pub(super) fn groups(&self) -> Vec<Vec<usize>> {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for (at, dimension) in self.dimensions.iter().enumerate() {
            match groups.iter_mut().find(|group| self.dimensions[group[0]].condition == dimension.condition) {
                Some(group) => group.push(at),
                None => groups.push(vec![at]),
            }
        }
        groups
    }

    /// Where a trial lies in the unit cube; the middle of dimensions that do not exist in it.
    pub(super) fn point(&self, params: &Params) -> Vec<f64> {
        let unit =
            |dimension: &Dimension| params.get(&dimension.name).and_then(|value| dimension.domain.place(value)).map_or(0.5, Place::middle);
        self.dimensions.iter().map(unit).collect()
    }
}
