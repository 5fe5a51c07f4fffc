//! Names of parameters, which travel from the configuration to every plot and export.

/// What one component of theta is called.
///
/// ```
/// use abduce_data::ParameterInfo;
/// let mass = ParameterInfo { unit: Some("10^14 Msun".into()), label: Some(r"M_{500}".into()), ..ParameterInfo::named("m500") };
/// assert_eq!(mass.label_or_name(), r"M_{500}");
/// assert_eq!(ParameterInfo::numbered(2)[1].label_or_name(), "theta_1");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParameterInfo {
    /// Name in tables, files and messages.
    pub name: String,
    /// Unit, as it is to be read; none for pure numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// LaTeX for the axes of plots, without dollar signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

impl ParameterInfo {
    /// A name alone.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), unit: None, label: None }
    }

    /// `theta_0`, `theta_1`, … for parameters that nobody has named.
    pub fn numbered(count: usize) -> Vec<Self> {
        (0..count).map(|index| Self::named(format!("theta_{index}"))).collect()
    }

    /// The label, or the name where there is none.
    pub fn label_or_name(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.name)
    }
}
