//! Cutting a source into tokens: eight bytes at a time, since a library is tens of megabytes, most of them comments and proofs.

/// Bytes of white space appended to every source, so that a word of eight bytes can be read at any position of it.
pub(crate) const PADDING: usize = 16;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// A position in the bytes of one source, and the tokens after it.
#[derive(Clone, Debug)]
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    end: usize,
    at: usize,
}

/// Where a token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub start: usize,
    pub end: usize,
}

/// Why a comment could not be passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommentFault {
    /// The source ends first.
    Unclosed,
    /// `$(` or `$)` inside, at this byte.
    Marker(usize),
}

impl<'a> Scanner<'a> {
    /// Tokens of `bytes[start..end]`, where `bytes` goes on for at least [`PADDING`] bytes after `end`.
    pub(crate) fn new(bytes: &'a [u8], start: usize, end: usize) -> Self {
        debug_assert!(bytes.len() >= end + PADDING);
        Self { bytes, end, at: start }
    }

    /// The byte after the last token.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    fn word(&self, at: usize) -> u64 {
        self.bytes.get(at..).and_then(|tail| tail.first_chunk::<8>()).map_or(0, |chunk| u64::from_le_bytes(*chunk))
    }

    /// The next token.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<Token> {
        let mut start = self.at;
        while start < self.end && self.bytes[start] <= b' ' {
            start += 1;
        }
        if start >= self.end {
            self.at = self.end;
            return None;
        }
        let mut end = start;
        let end = loop {
            // The lowest byte below 0x21: exact for the lowest one flagged, which is the one taken.
            let word = self.word(end);
            let blank = word.wrapping_sub(ONES * 0x21) & !word & HIGH;
            if blank != 0 {
                break end + (blank.trailing_zeros() / 8) as usize;
            }
            end += 8;
        }
        .min(self.end);
        self.at = end;
        Some(Token { start, end })
    }

    /// Moves to the next dollar sign and says where it is; to the end where there is none.
    #[inline]
    pub(crate) fn seek_dollar(&mut self) -> Option<usize> {
        let mut at = self.at;
        while at < self.end {
            let word = self.word(at) ^ (ONES * u64::from(b'$'));
            let zero = word.wrapping_sub(ONES) & !word & HIGH;
            if zero != 0 {
                let found = at + (zero.trailing_zeros() / 8) as usize;
                self.at = found.min(self.end);
                return (found < self.end).then_some(found);
            }
            at += 8;
        }
        self.at = self.end;
        None
    }

    /// Moves behind the `$)` of a comment whose `$(` was the last token.
    pub(crate) fn skip_comment(&mut self) -> Result<(), CommentFault> {
        while let Some(dollar) = self.seek_dollar() {
            match self.bytes[dollar + 1] {
                b')' => {
                    if self.bytes[dollar - 1] > b' ' || self.bytes[dollar + 2] > b' ' {
                        return Err(CommentFault::Marker(dollar));
                    }
                    self.at = dollar + 2;
                    return if self.at <= self.end { Ok(()) } else { Err(CommentFault::Unclosed) };
                }
                b'(' => return Err(CommentFault::Marker(dollar)),
                _ => self.at = dollar + 1,
            }
        }
        Err(CommentFault::Unclosed)
    }

    /// Moves to a byte.
    pub(crate) fn seek(&mut self, at: usize) {
        self.at = at;
    }
}

/// The first byte that may not stand in a source: only printable ASCII, space, tab, line feed, form feed and carriage return may.
pub(crate) fn first_illegal_byte(bytes: &[u8]) -> Option<usize> {
    let legal = |byte: u8| matches!(byte, b' '..=b'~' | b'\t' | b'\n' | 0x0c | b'\r');
    // Whole blocks are folded without a branch, which the compiler turns into vector code.
    let mut at = 0;
    for block in bytes.chunks(4096) {
        let bad = block.iter().fold(0u8, |bad, &byte| {
            bad | u8::from(byte > b'~')
                | (u8::from(byte < b' ')
                    & u8::from(byte != b'\n')
                    & u8::from(byte != b'\t')
                    & u8::from(byte != b'\r')
                    & u8::from(byte != 0x0c))
        });
        if bad != 0 {
            return block.iter().position(|&byte| !legal(byte)).map(|offset| at + offset);
        }
        at += block.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn padded(text: &str) -> Vec<u8> {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(bytes.len() + PADDING, b'\n');
        bytes
    }

    fn tokens(text: &str) -> Vec<String> {
        let bytes = padded(text);
        let mut scanner = Scanner::new(&bytes, 0, text.len());
        std::iter::from_fn(|| scanner.next()).map(|token| String::from_utf8_lossy(&bytes[token.start..token.end]).into_owned()).collect()
    }

    #[test]
    fn tokens_of_any_length_at_any_offset_are_those_of_split_whitespace() {
        for long in 0..20 {
            for blanks in 1..4 {
                let text = format!("{}{}{}\t{}\r\nz", " ".repeat(blanks - 1), "x".repeat(long), " ".repeat(blanks), "y".repeat(20 - long));
                let expected: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
                assert_eq!(tokens(&text), expected);
            }
        }
        assert!(tokens("").is_empty());
    }

    #[test]
    fn dollars_and_comments_are_found_wherever_they_stand() {
        for before in 0..20 {
            let text = format!("{} $) rest", "a".repeat(before));
            let bytes = padded(&text);
            let mut scanner = Scanner::new(&bytes, 0, text.len());
            scanner.skip_comment().unwrap();
            assert_eq!(scanner.position(), before + 3);
        }
        for (text, fault) in [
            ("no end", CommentFault::Unclosed),
            ("x$) ", CommentFault::Marker(1)),
            (" $)x ", CommentFault::Marker(1)),
            (" $( $) ", CommentFault::Marker(1)),
            (" $", CommentFault::Unclosed),
        ] {
            let bytes = padded(text);
            assert_eq!(Scanner::new(&bytes, 0, text.len()).skip_comment(), Err(fault), "{text}");
        }
    }

    #[test]
    fn every_byte_is_judged_as_the_language_says() {
        for byte in 0..=255u8 {
            let mut bytes = vec![b'x'; 5000];
            bytes[4500] = byte;
            let legal = (0x20..0x7f).contains(&byte) || [9, 10, 12, 13].contains(&byte);
            assert_eq!(first_illegal_byte(&bytes), (!legal).then_some(4500), "{byte}");
        }
    }
}
