//! "Did you mean …?"

/// Longer names are cut before they are compared: the distance takes quadratic time, and hostile names are long.
const MAX_LENGTH: usize = 64;

/// The known name nearest to what was written, if one is near enough to be meant: at most a third of the letters differ
/// (a swap of neighbours counts once), or they begin alike.
pub(crate) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower: String = written.chars().take(MAX_LENGTH).collect::<String>().to_lowercase();
    known
        .into_iter()
        .map(|name| {
            let other = name.to_lowercase();
            let distance = strsim::damerau_levenshtein(&lower, &other);
            let longest = lower.chars().count().max(other.chars().count());
            // Jaro-Winkler rewards a common beginning: `hiden` is meant to become `hidden_features`.
            let near = distance * 3 <= longest || strsim::jaro_winkler(&lower, &other) >= 0.84;
            (near, distance, name)
        })
        .filter(|&(near, ..)| near)
        .min_by_key(|&(_, distance, name)| (distance, name))
        .map(|(.., name)| name)
}

/// Help for an unknown name: the nearest known one, and all of them.
pub(crate) fn suggestion(written: &str, known: &[&str]) -> String {
    let list = known.join(", ");
    match nearest(written, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`? known here: {list}"),
        None => format!("known here: {list}"),
    }
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let known = ["hidden_features", "num_transforms", "num_bins", "seed", "n"];
        assert_eq!(nearest("hiden_fatures", known), Some("hidden_features"));
        assert_eq!(nearest("hidden", known), Some("hidden_features"));
        assert_eq!(nearest("hiden", known), Some("hidden_features"));
        assert_eq!(nearest("NUM_BIN", known), Some("num_bins"));
        assert_eq!(nearest("sede", known), Some("seed"));
        assert_eq!(nearest("dropout", known), None);
        assert_eq!(nearest("", known), None);
    }
}
