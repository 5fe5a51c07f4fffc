//! Headers: cards of 80 characters.

use super::CARD;
use std::collections::BTreeMap;

/// The value of a keyword.
#[derive(Clone, Debug, PartialEq)]
pub enum Card {
    /// A text, without trailing spaces.
    Text(String),
    /// A number.
    Number(f64),
    /// True or false.
    Logical(bool),
}

/// Keywords and their values; of a keyword that is there twice, the first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cards(BTreeMap<String, Card>);

impl Cards {
    /// A text.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.0.get(key) {
            Some(Card::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A number.
    pub fn number(&self, key: &str) -> Option<f64> {
        match self.0.get(key) {
            Some(Card::Number(number)) => Some(*number),
            _ => None,
        }
    }

    /// A number of things: an integer of at least 0 that an f64 holds exactly.
    pub(super) fn count(&self, key: &str) -> Option<u64> {
        self.number(key).filter(|n| *n >= 0.0 && *n <= 9.0e15 && n.fract() == 0.0).map(|n| n as u64)
    }

    /// Reads cards up to END; false where there is none yet.
    pub(super) fn parse(&mut self, block: &[u8], open: &mut Option<String>) -> Result<bool, String> {
        for card in block.chunks_exact(CARD) {
            if !card.iter().all(|b| (0x20..=0x7e).contains(b)) {
                return Err("a header with bytes that are no characters of FITS".into());
            }
            let text = std::str::from_utf8(card).map_err(|error| error.to_string())?;
            let key = text[..8].trim_end();
            if key == "END" {
                return Ok(true);
            }
            if key == "CONTINUE" {
                if let (Some(key), Some((more, _))) = (open.as_ref(), quoted(text[8..].trim_start()))
                    && let Some(Card::Text(value)) = self.0.get_mut(key)
                    && value.ends_with('&')
                {
                    value.pop();
                    value.push_str(&more);
                }
                continue;
            }
            *open = None;
            let Some(value) = text[8..].strip_prefix("= ") else { continue };
            let value = value.trim_start();
            let parsed = match quoted(value) {
                Some((text, _)) => {
                    *open = Some(key.to_string());
                    Some(Card::Text(text))
                }
                None => match value.split('/').next().unwrap_or("").trim() {
                    "T" => Some(Card::Logical(true)),
                    "F" => Some(Card::Logical(false)),
                    // Fortran's exponents may be D.
                    number => number.replace(['D', 'd'], "E").parse().ok().map(Card::Number),
                },
            };
            if let Some(parsed) = parsed
                && !self.0.contains_key(key)
            {
                self.0.insert(key.to_string(), parsed);
            }
        }
        Ok(false)
    }
}

/// A text between apostrophes, of which two stand for one; and what follows. Trailing spaces mean nothing.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('\'')?;
    let mut value = String::new();
    loop {
        let (before, after) = rest.split_once('\'')?;
        value.push_str(before);
        match after.strip_prefix('\'') {
            Some(after) => {
                value.push('\'');
                rest = after;
            }
            None => return Some((value.trim_end().to_string(), after)),
        }
    }
}

/// The cards of a keyword; a long text takes several, by the CONTINUE convention (FITS Standard 4.0, section 4.2.1.2).
pub(super) fn cards(key: &str, value: &Card) -> Result<Vec<String>, String> {
    let sound =
        !key.is_empty() && key.len() <= 8 && key.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b"_-".contains(&b));
    if !sound {
        return Err(format!("`{key}` is no keyword of FITS"));
    }
    let fixed = |value: String| vec![format!("{:<80}", format!("{key:<8}= {value:>20}"))];
    match value {
        Card::Logical(value) => Ok(fixed(if *value { "T".into() } else { "F".into() })),
        Card::Number(value) if !value.is_finite() => Err(format!("`{key}` is {value}, which FITS can't say")),
        Card::Number(value) if value.fract() == 0.0 && value.abs() < 1e15 => Ok(fixed(format!("{value:.0}"))),
        Card::Number(value) => Ok(fixed(format!("{value:E}"))),
        Card::Text(text) => {
            if !text.bytes().all(|b| (0x20..=0x7e).contains(&b)) {
                return Err(format!("the text of `{key}` has characters that FITS does not know"));
            }
            // 80 characters less `CONTINUE  '…'` and one for the `&`.
            const ROOM: usize = 67;
            let mut pieces = vec![String::new()];
            for c in text.chars() {
                let width = if c == '\'' { 2 } else { 1 };
                if pieces.last().is_none_or(|piece| piece.len() + width > ROOM) {
                    pieces.push(String::new());
                }
                if let Some(piece) = pieces.last_mut() {
                    piece.push(c);
                    if c == '\'' {
                        piece.push(c);
                    }
                }
            }
            let last = pieces.len() - 1;
            let line = |(i, piece): (usize, String)| {
                let start = if i == 0 { format!("{key:<8}= ") } else { "CONTINUE  ".to_string() };
                let more = if i < last { "&" } else { "" };
                format!("{:<80}", format!("{start}'{:<8}'", format!("{piece}{more}")))
            };
            Ok(pieces.into_iter().enumerate().map(line).collect())
        }
    }
}
