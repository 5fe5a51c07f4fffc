//! What a candidate's text may contain. A proof is pasted into a file behind the theorem's own statement; it must not be able to change what the statement means, to end the
//! theorem and begin something else, or to add axioms.

/// Words that begin a command or change what others mean, or leave a hole.
const FORBIDDEN: [&str; 72] = [
    "abbrev",
    "add_decl_doc",
    "admit",
    "alias",
    "attribute",
    "axiom",
    "binder_predicate",
    "builtin_initialize",
    "class",
    "coinductive",
    "compile_inductive",
    "declare_syntax_cat",
    "def",
    "deprecated",
    "deriving",
    "elab",
    "elab_rules",
    "end",
    "example",
    "export",
    "extern",
    "extends",
    "import",
    "in",
    "include",
    "inductive",
    "infix",
    "infixl",
    "infixr",
    "init_quot",
    "initialize",
    "instance",
    "lemma",
    "local",
    "macro",
    "macro_rules",
    "meta",
    "module",
    "mutual",
    "namespace",
    "native_decide",
    "noncomputable",
    "notation",
    "notation3",
    "omit",
    "opaque",
    "open",
    "partial",
    "postfix",
    "prefix",
    "prelude",
    "private",
    "protected",
    "public",
    "register_builtin_option",
    "register_option",
    "run_cmd",
    "run_elab",
    "run_meta",
    "scoped",
    "seal",
    "section",
    "set_option",
    "simproc",
    "sorry",
    "sorryAx",
    "structure",
    "syntax",
    "theorem",
    "universe",
    "unsafe",
    "variable",
];

/// Why a text may not be pasted into a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// A word of a command, or one that leaves a hole.
    #[error("`{word}` is not allowed in a proof")]
    Word {
        /// The word.
        word: String,
    },
    /// A command or attribute mark, a block comment, a control character.
    #[error("{what} is not allowed in a proof")]
    Mark {
        /// What.
        what: &'static str,
    },
    /// A bracket or a string that is not closed, or closed without being open.
    #[error("`{bracket}` has no partner")]
    Unbalanced {
        /// The bracket.
        bracket: char,
    },
    /// Brackets within each other deeper than is allowed, or more text.
    #[error("a proof has at most {limit} {what}")]
    Size {
        /// "characters" or "brackets within each other".
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

/// Most bytes of a tactic or a proof.
pub const MAX_PROOF_BYTES: usize = 100_000;
/// Most brackets within each other.
const MAX_NESTING: usize = 200;

/// Checks the text of a tactic or of a whole proof. It is stricter than necessary: what it passes is a sequence of balanced tokens without commands, so that indented
/// behind `:= by` it belongs to that theorem alone.
///
/// # Errors
/// The text could do more than prove.
pub fn check_text(text: &str) -> Result<(), TrustError> {
    if text.len() > MAX_PROOF_BYTES {
        return Err(TrustError::Size { what: "bytes", limit: MAX_PROOF_BYTES });
    }
    let mut open: Vec<char> = Vec::new();
    let mut word = String::new();
    let mut chars = text.chars().peekable();
    let check = |word: &mut String| {
        let found = FORBIDDEN.contains(&word.as_str()) || word.split('.').any(|part| part == "sorryAx");
        let taken = std::mem::take(word);
        if found { Err(TrustError::Word { word: taken }) } else { Ok(()) }
    };
    while let Some(character) = chars.next() {
        if character.is_alphanumeric() || matches!(character, '_' | '.' | '\'' | '!' | '?') {
            word.push(character);
            continue;
        }
        check(&mut word)?;
        match character {
            '"' => loop {
                match chars.next() {
                    Some('"') => break,
                    Some('\\') => {
                        chars.next();
                    }
                    Some(_) => {}
                    None => return Err(TrustError::Unbalanced { bracket: '"' }),
                }
            },
            '-' if chars.peek() == Some(&'-') => {
                while chars.peek().is_some_and(|&next| next != '\n') {
                    chars.next();
                }
            }
            '/' if chars.peek() == Some(&'-') => return Err(TrustError::Mark { what: "a block comment" }),
            '#' => return Err(TrustError::Mark { what: "`#`" }),
            '@' if chars.peek() == Some(&'[') => return Err(TrustError::Mark { what: "an attribute" }),
            '«' | '»' => return Err(TrustError::Mark { what: "a quoted name" }),
            '`' => return Err(TrustError::Mark { what: "a quotation" }),
            '(' | '[' | '{' | '⟨' => {
                open.push(character);
                if open.len() > MAX_NESTING {
                    return Err(TrustError::Size { what: "brackets within each other", limit: MAX_NESTING });
                }
            }
            ')' | ']' | '}' | '⟩' => {
                let partner = match character {
                    ')' => '(',
                    ']' => '[',
                    '}' => '{',
                    _ => '⟨',
                };
                if open.pop() != Some(partner) {
                    return Err(TrustError::Unbalanced { bracket: character });
                }
            }
            '\n' | ' ' => {}
            control if control.is_control() => return Err(TrustError::Mark { what: "a control character" }),
            _ => {}
        }
    }
    check(&mut word)?;
    match open.last() {
        Some(&bracket) => Err(TrustError::Unbalanced { bracket }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proofs_pass_and_tricks_do_not() {
        for fine in [
            "intro h\nexact ⟨h.2, h.1⟩",
            "cases h with\n| inl a => exact Or.inr a\n| inr a => left; exact a",
            "simp [Nat.add_comm] at h ⊢ -- theorem",
            "exact h.end_ (\"sorry )\")",
            "rewrite [h', add_succ]",
            "",
        ] {
            assert_eq!(check_text(fine), Ok(()), "{fine}");
        }
        for (text, part) in [
            ("exact h\ntheorem x : False := sorry", "theorem"),
            ("sorry", "sorry"),
            ("exact (sorry)", "sorry"),
            ("exact sorryAx _ true", "sorryAx"),
            ("exact Lean.sorryAx", "sorryAx"),
            ("admit", "admit"),
            ("native_decide", "native_decide"),
            ("set_option maxErrors 1 in simp", "set_option"),
            ("exact h) (", "`)`"),
            ("exact (h", "`(`"),
            ("exact ⟨h)", "`)`"),
            ("exact \"h", "`\"`"),
            ("/- axiom", "block comment"),
            ("#eval 1", "`#`"),
            ("@[simp] x", "attribute"),
            ("exact «sorry»", "quoted name"),
            ("exact h\u{0}", "control"),
            ("exact\th", "control"),
        ] {
            let found = check_text(text).unwrap_err().to_string();
            assert!(found.contains(part), "{text}: {found}");
        }
        assert!(check_text(&"(".repeat(100_000)).unwrap_err().to_string().contains("at most 200"));
        assert!(check_text(&"x".repeat(200_000)).unwrap_err().to_string().contains("at most"));
    }
}
