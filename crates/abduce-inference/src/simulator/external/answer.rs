//! The answer of a simulation: one line of JSON, read without trusting it.

use serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, de};
use std::fmt;

/// Axes of a datum at most, as in NumPy's practice.
const MAX_AXES: usize = 8;
/// Characters of a message that are kept.
const MAX_MESSAGE: usize = 2000;

/// An answer: `{"id": 17, "x": [1.0, 2.0]}` or `{"id": 17, "error": "no root in the interval"}`. Other keys are ignored.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) id: u64,
    /// The datum or the simulator's message.
    pub(super) content: Result<Datum, String>,
}

/// Numbers in a nested list; `null`, `NaN` and `Infinity` (which Python's json writes) are missing values, NaN.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Datum {
    /// Axes; a number alone is a list of one.
    pub(super) shape: Vec<usize>,
    /// Row-major.
    pub(super) values: Vec<f32>,
}

#[derive(Deserialize)]
struct Line {
    id: u64,
    #[serde(default)]
    x: Option<Datum>,
    #[serde(default)]
    error: Option<String>,
}

/// Reads a line. The memory taken is at most twice that of the line.
pub(super) fn parse(line: &[u8]) -> Result<Answer, String> {
    let read: Line = match serde_json::from_slice(line) {
        Ok(read) => read,
        Err(error) => match without_non_finite(line) {
            Some(line) => serde_json::from_slice(&line).map_err(|error| error.to_string())?,
            None => return Err(error.to_string()),
        },
    };
    let content = match (read.x, read.error) {
        (Some(datum), None) if datum.values.is_empty() => return Err("`x` is empty".into()),
        (Some(datum), None) => Ok(datum),
        (None, Some(message)) => Err(shortened(&message)),
        (None, None) => return Err("it has neither `x` nor `error`".into()),
        (Some(_), Some(_)) => return Err("it has both `x` and `error`".into()),
    };
    Ok(Answer { id: read.id, content })
}

/// The beginning of a message.
pub(super) fn shortened(message: &str) -> String {
    match message.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

/// The line with `NaN`, `Infinity` and `-Infinity` outside of strings replaced by `null`; none where it has none of them.
fn without_non_finite(line: &[u8]) -> Option<Vec<u8>> {
    const WORDS: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];
    let mut clean = Vec::with_capacity(line.len() + line.len() / 3);
    let (mut at, mut in_string, mut found) = (0, false, false);
    while at < line.len() {
        let word = WORDS.iter().find(|word| !in_string && line[at..].starts_with(word));
        if let Some(word) = word {
            clean.extend_from_slice(b"null");
            at += word.len();
            found = true;
            continue;
        }
        match line[at] {
            b'"' => in_string = !in_string,
            b'\\' if in_string && at + 1 < line.len() => {
                clean.push(line[at]);
                at += 1;
            }
            _ => {}
        }
        clean.push(line[at]);
        at += 1;
    }
    found.then_some(clean)
}

impl<'de> Deserialize<'de> for Datum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut nested = Nested::default();
        Level { nested: &mut nested, depth: 0 }.deserialize(deserializer)?;
        if nested.leaf == Some(0) {
            nested.lengths = vec![Some(1)];
        }
        let shape: Vec<usize> = nested.lengths.into_iter().map(|length| length.unwrap_or(0)).collect();
        // An empty list beside a number escapes the checks on the way.
        if shape.iter().product::<usize>() != nested.values.len() {
            return Err(D::Error::custom("`x` is ragged"));
        }
        Ok(Self { shape, values: nested.values })
    }
}

/// What has been seen of a nested list.
#[derive(Default)]
struct Nested {
    values: Vec<f32>,
    /// Length of the lists at each depth, once one has ended.
    lengths: Vec<Option<usize>>,
    /// Depth of the numbers.
    leaf: Option<usize>,
}

/// A list or number at some depth.
struct Level<'a> {
    nested: &'a mut Nested,
    depth: usize,
}

impl Level<'_> {
    fn number<E: de::Error>(self, value: f64) -> Result<(), E> {
        if *self.nested.leaf.get_or_insert(self.depth) != self.depth {
            return Err(E::custom("`x` is ragged: numbers stand at different depths"));
        }
        self.nested.values.push(value as f32);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or a list of numbers")
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.number(value)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.number(value as f64)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.number(value as f64)
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.number(f64::NAN)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        if self.depth >= MAX_AXES {
            return Err(A::Error::custom(format!("`x` has more than {MAX_AXES} axes")));
        }
        let mut count = 0;
        while items.next_element_seed(Level { nested: &mut *self.nested, depth: self.depth + 1 })?.is_some() {
            count += 1;
        }
        if self.nested.lengths.len() <= self.depth {
            self.nested.lengths.resize(self.depth + 1, None);
        }
        let length = self.nested.lengths[self.depth].get_or_insert(count);
        if *length != count {
            return Err(A::Error::custom(format!("`x` is ragged: lists of {length} and of {count} items stand side by side")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn datum(text: &str) -> Datum {
        parse(text.as_bytes()).unwrap().content.unwrap()
    }

    #[test]
    fn lists_of_any_depth_and_numbers_alone() {
        assert_eq!(datum(r#"{"id": 1, "x": [1, -2, 0.5]}"#), Datum { shape: vec![3], values: vec![1.0, -2.0, 0.5] });
        assert_eq!(datum(r#"{"x": [[1, 2, 3], [4, 5, 6]], "id": 1, "seconds": 3}"#).shape, [2, 3]);
        assert_eq!(datum(r#"{"id": 1, "x": 4.0}"#), Datum { shape: vec![1], values: vec![4.0] });
        assert_eq!(datum(r#"{"id": 1, "x": [[[1]], [[2]]]}"#).shape, [2, 1, 1]);
        let failed = parse(br#"{"id": 9, "error": "diverged", "x": null}"#);
        // A null datum is missing, not a datum of one missing value.
        assert_eq!(failed, Ok(Answer { id: 9, content: Err("diverged".into()) }));
    }

    #[test]
    fn missing_values_are_nan_however_they_are_written() {
        let found = datum(r#"{"id": 1, "x": [1.0, NaN, null, Infinity, -Infinity], "note": "NaN \" Infinity"}"#);
        assert_eq!(found.values.iter().map(|value| value.is_nan()).collect::<Vec<_>>(), [false, true, true, true, true]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let cases = [
            (r#"{"id": 1, "x": [1, [2]]}"#, "different depths"),
            (r#"{"id": 1, "x": [[1, 2], [3]]}"#, "lists of 2 and of 1"),
            (r#"{"id": 1, "x": [[], 1]}"#, "ragged"),
            (r#"{"id": 1, "x": []}"#, "`x` is empty"),
            (r#"{"id": 1}"#, "neither `x` nor `error`"),
            (r#"{"id": 1, "x": [1], "error": "e"}"#, "both"),
            (r#"{"id": -1, "x": [1]}"#, "-1"),
            (r#"{"x": [1]}"#, "missing field `id`"),
            (r#"{"id": 1, "x": ["1"]}"#, "a number, or a list of numbers"),
            (r#"{"id": 1, "x": [[[[[[[[[1]]]]]]]]]}"#, "more than 8 axes"),
            ("Loading tables…", "expected value"),
            ("", "EOF"),
        ];
        for (line, part) in cases {
            let error = parse(line.as_bytes()).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
        let deep = "[".repeat(100_000);
        assert!(parse(format!(r#"{{"id": 1, "x": {deep}"#).as_bytes()).is_err());
        let long = parse(format!(r#"{{"id": 1, "error": "{}"}}"#, "é".repeat(5000)).as_bytes()).unwrap();
        assert_eq!(long.content.unwrap_err().chars().count(), MAX_MESSAGE + 1);
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            parse(&bytes).ok();
        }

        #[test]
        fn mutated_answers_never_panic(at in 0usize..40, byte in any::<u8>()) {
            let mut line = br#"{"id": 17, "x": [[1.5, NaN], [-2e3, 4]]}"#.to_vec();
            let at = at % line.len();
            line[at] = byte;
            parse(&line).ok();
        }
    }
}
