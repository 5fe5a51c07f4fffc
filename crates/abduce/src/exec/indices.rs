//! Lists of indices as Slurm writes them: `3,17,40-42`, with `%16` for how many at once.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

/// The shortest text for increasing `indices`.
pub fn compact(indices: &[usize]) -> String {
    let mut runs: Vec<RangeInclusive<usize>> = Vec::new();
    for &index in indices {
        match runs.last_mut() {
            Some(run) if *run.end() + 1 == index => *run = *run.start()..=index,
            _ => runs.push(index..=index),
        }
    }
    let mut text = String::new();
    for run in runs {
        let comma = if text.is_empty() { "" } else { "," };
        // Writing to a string cannot fail.
        _ = match run.end() - run.start() {
            0 => write!(text, "{comma}{}", run.start()),
            _ => write!(text, "{comma}{}-{}", run.start(), run.end()),
        };
    }
    text
}

/// Indices of one text that are accepted: Slurm itself allows some millions.
const MAX_INDICES: u64 = 4_000_000;

/// The indices of `1-5%1`, `0-30:10,7` or `3`, in the order written; nothing where the text is something else.
pub fn expand(text: &str) -> Option<Vec<u64>> {
    let list = text.split('%').next().unwrap_or(text).trim_matches(['[', ']']);
    let mut indices = Vec::new();
    for part in list.split(',') {
        let (range, step) = part.split_once(':').unwrap_or((part, "1"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last, step): (u64, u64, u64) = (first.parse().ok()?, last.parse().ok()?, step.parse().ok()?);
        if step == 0 || last < first || (last - first) / step + indices.len() as u64 >= MAX_INDICES {
            return None;
        }
        indices.extend((first..=last).step_by(usize::try_from(step).ok()?));
    }
    Some(indices)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_written_as_ranges() {
        for (indices, text) in [(&[][..], ""), (&[3], "3"), (&[3, 17, 40, 41, 42], "3,17,40-42"), (&[0, 1, 2, 5, 6], "0-2,5-6")] {
            assert_eq!(compact(indices), text);
        }
    }

    #[test]
    fn slurm_texts_are_read_and_nonsense_is_not() {
        assert_eq!(expand("1-5%1").unwrap(), [1, 2, 3, 4, 5]);
        assert_eq!(expand("0-30:10,7").unwrap(), [0, 10, 20, 30, 7]);
        assert_eq!(expand("[2,4-5%2]").unwrap(), [2, 4, 5]);
        for nonsense in ["", "a", "5-1", "1-", "0-5:0", "0-99999999999", "1,,2"] {
            assert_eq!(expand(nonsense), None, "{nonsense}");
        }
    }
}
