//! How parameters are called on axes and in sentences.

use abduce_data::ParameterInfo;
use abduce_report::Label;

/// Label and unit for an axis, in the notation of [`Label`]: `$M_{500}$ [$10^{14}$ $M_\odot$]`.
pub fn axis_label(parameter: &ParameterInfo) -> String {
    let label = prose_label(parameter);
    match parameter.unit.as_deref().filter(|unit| !unit.is_empty()) {
        Some(unit) => format!("{label} [{}]", unit_label(unit)),
        None => label,
    }
}

/// Label alone, with mathematics between dollar signs: for legends and sentences.
pub(super) fn prose_label(parameter: &ParameterInfo) -> String {
    Label::in_prose(parameter.label_or_name())
}

/// `10^14 Msun` as `$10^{14}$ $M_\odot$`, `Mpc^-1` as `Mpc$^{-1}$`; LaTeX as it is written.
pub(super) fn unit_label(unit: &str) -> String {
    let latex = Label::in_prose(unit);
    if latex.contains('$') && !unit.chars().all(char::is_alphanumeric) {
        return latex;
    }
    unit.split(' ').map(unit_factor).collect::<Vec<_>>().join(" ")
}

fn unit_factor(factor: &str) -> String {
    let (base, power) = factor.split_once('^').unwrap_or((factor, ""));
    let base = if matches!(base, "Msun" | "M_sun") { r"$M_\odot$" } else { base };
    let is_power = !power.is_empty() && power.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | '/'));
    match (power, is_power) {
        ("", _) => base.to_string(),
        (_, true) => format!("{base}$^{{{power}}}$"),
        _ => factor.to_string(),
    }
}

/// With a capital at the start.
pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// `1.2e-9` as `1.2×$10^{-9}$`; the minus of other numbers becomes a true one.
pub(super) fn printed(text: &str) -> String {
    let word = |word: &str| {
        let number = word.trim_matches(['(', ')', ',', ';', ':', '.']);
        let Some((mantissa, exponent)) = number.split_once('e').filter(|_| number.parse::<f64>().is_ok()) else {
            return if number.len() > 1 && number.parse::<f64>().is_ok() { word.replace('-', "\u{2212}") } else { word.to_string() };
        };
        word.replace(number, &format!("{}×$10^{{{exponent}}}$", mantissa.replace('-', "\u{2212}")))
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// A fragment as a sentence: a capital, a full stop, and numbers as in print.
pub(super) fn sentence(text: &str) -> String {
    let mut out = capital(printed(text.trim()).as_str());
    if !out.is_empty() && !out.ends_with(['.', '!', '?', ':']) {
        out.push('.');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(label: Option<&str>, unit: Option<&str>) -> String {
        let parameter = ParameterInfo { name: "mass".into(), unit: unit.map(str::to_string), label: label.map(str::to_string) };
        Label::parse(&axis_label(&parameter)).html()
    }

    #[test]
    fn labels_and_units_read_as_in_a_paper() {
        assert_eq!(plain(None, None), "mass");
        assert_eq!(plain(Some(r"\Omega_m"), None), Label::parse(r"\Omega_m").html());
        assert!(plain(Some(r"M_{500}"), Some("10^14 Msun")).ends_with("</sub> [10<sup>14</sup> <i>M</i><sub>⊙</sub>]"));
        assert_eq!(plain(None, Some("km/s")), "mass [km/s]");
        assert_eq!(plain(None, Some("h Mpc^-1")), "mass [h Mpc<sup>−1</sup>]");
        assert_eq!(plain(None, Some(r"h^{-1} M_\odot")), "mass [<i>h</i><sup>−1</sup><i>M</i><sub>⊙</sub>]");
    }

    #[test]
    fn fragments_become_sentences() {
        assert_eq!(sentence("more test pairs find smaller defects"), "More test pairs find smaller defects.");
        assert_eq!(sentence(r"$\theta_2$ is low."), r"$\theta_2$ is low.");
        assert_eq!(sentence("too narrow (rank p = 1.2e-9), area -0.02"), "Too narrow (rank p = 1.2×$10^{-9}$), area −0.02.");
        assert_eq!(sentence("the well-known file-1.npy"), "The well-known file-1.npy.");
        assert_eq!(sentence(""), "");
    }
}
