//! "Did you mean …?"

/// Longer names are cut before they are compared: the distance takes quadratic time, and hostile names are long.
const MAX_LENGTH: usize = 64;

/// The known name nearest to what was written, if one is near enough to be meant: at most a third of the letters differ
/// (a swap of neighbours counts once), or one is the beginning of the other.
pub(crate) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower: String = written.chars().take(MAX_LENGTH).collect::<String>().to_lowercase();
    known
        .into_iter()
        .map(|name| {
            let other = name.to_lowercase();
            let distance = strsim::damerau_levenshtein(&lower, &other);
            let longest = lower.chars().count().max(other.chars().count());
            let begins = lower.len() >= 3 && (other.starts_with(&lower) || lower.starts_with(&other));
            let near = distance * 3 <= longest.max(3) || begins;
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
