//! From text to a [`Database`]: every rule of the language but those about proofs.
//!
//! The language is that of "Metamath: A Computer Language for Mathematical Proofs" (Megill and Wheeler 2019, chapter 4). Where the book leaves a choice, the
//! stricter reading is taken: inclusions stand between statements of the outermost scope, a comment may not contain `$(`.

use super::database::{Counts, Database, DisjointGroup, NONE, Statement, StatementKind, VARIABLE};
use super::source::{Sources, Span};
use super::syntax_fault::{ParseError, SyntaxFault};
use super::token::{CommentFault, Scanner, Token};
use std::fmt;

/// Most entries of any one pool of a database.
pub(super) const MAX_POOL: usize = (VARIABLE - 1) as usize;
/// Most scopes within each other.
const MAX_SCOPES: usize = 10_000;

type Faulty<T> = Result<T, (Token, SyntaxFault)>;

#[derive(Clone, Copy)]
struct Scope {
    variables: usize,
    floating: usize,
    essential: usize,
    disjoint: u32,
}

pub(super) struct Parser {
    pub(super) db: Database,
    /// By symbol: declared and, for a variable, in an open scope.
    active: Vec<bool>,
    /// By symbol: its active `$f`.
    pub(super) floating_of: Vec<u32>,
    /// Active variables, `$f` and `$e`, innermost last.
    variables: Vec<u32>,
    floating: Vec<u32>,
    pub(super) essential: Vec<u32>,
    scopes: Vec<Scope>,
    pub(super) disjoint: u32,
    /// By symbol: place in the frame being built.
    pub(super) place: Vec<u32>,
    /// `$f` statements of the frame being built.
    pub(super) mandatory: Vec<u32>,
    pub(super) local: Vec<u32>,
    comment: std::ops::Range<u32>,
}

/// Builds a database out of its main file and what that includes.
pub(crate) fn parse(sources: Sources) -> Result<Database, ParseError> {
    let mut parser = Parser {
        db: Database { sources, ..Database::default() },
        active: Vec::new(),
        floating_of: Vec::new(),
        variables: Vec::new(),
        floating: Vec::new(),
        essential: Vec::new(),
        scopes: Vec::new(),
        disjoint: NONE,
        place: Vec::new(),
        mandatory: Vec::new(),
        local: Vec::new(),
        comment: 0..0,
    };
    // Files within which an inclusion stands, and where to go on in them.
    let mut files = vec![(0, 0)];
    while let Some((file, at)) = files.pop() {
        // The parser changes the list of files while it reads one of them, so the bytes move out and back.
        let bytes = parser.db.sources.take(file);
        let end = bytes.len() - super::token::PADDING;
        let mut scanner = Scanner::new(&bytes, at, end);
        let result = parser.read(&bytes, &mut scanner, file);
        let position = scanner.position();
        parser.db.sources.put_back(file, bytes);
        match result {
            Ok(Some(included)) => {
                files.push((file, position));
                files.push((included, 0));
            }
            Ok(None) => {}
            Err((token, fault)) => {
                let (line, column) = parser.db.sources.line_and_column(file, token.start as u32);
                return Err(ParseError { path: parser.db.sources.path(file).to_path_buf(), line, column, fault });
            }
        }
    }
    if !parser.scopes.is_empty() {
        let (_, length) = parser.db.sources.padded(0);
        let (line, column) = parser.db.sources.line_and_column(0, length as u32);
        let fault = SyntaxFault::UnclosedScope { open: parser.scopes.len() };
        return Err(ParseError { path: parser.db.sources.path(0).to_path_buf(), line, column, fault });
    }
    Ok(parser.db)
}

fn text(bytes: &[u8], token: Token) -> String {
    let shown = &bytes[token.start..token.end.min(token.start + 80)];
    String::from_utf8_lossy(shown).into_owned()
}

impl Parser {
    /// Reads statements until the file ends, or up to an inclusion of a file not read yet.
    fn read(&mut self, bytes: &[u8], scanner: &mut Scanner<'_>, file: u32) -> Faulty<Option<u32>> {
        while let Some(token) = scanner.next() {
            if bytes[token.start] != b'$' {
                self.labelled(bytes, scanner, token, file)?;
                continue;
            }
            if token.end - token.start != 2 {
                return Err((token, SyntaxFault::Unexpected { token: text(bytes, token) }));
            }
            let keyword = bytes[token.start + 1];
            if keyword == b'(' {
                skip_comment(scanner, token)?;
                self.comment = token.end as u32..(scanner.position() - 2) as u32;
                continue;
            }
            self.comment = 0..0;
            match keyword {
                b'c' => self.constants(bytes, scanner, token)?,
                b'v' => self.declare_variables(bytes, scanner, token)?,
                b'd' => self.disjoint(bytes, scanner, token)?,
                b'{' => {
                    if self.scopes.len() >= MAX_SCOPES {
                        return Err((token, SyntaxFault::TooMany { what: "scopes within each other", limit: MAX_SCOPES as u64 }));
                    }
                    self.scopes.push(Scope {
                        variables: self.variables.len(),
                        floating: self.floating.len(),
                        essential: self.essential.len(),
                        disjoint: self.disjoint,
                    });
                }
                b'}' => self.close_scope().ok_or((token, SyntaxFault::NoScope))?,
                b'[' => {
                    if let Some(included) = self.inclusion(bytes, scanner, token)? {
                        return Ok(Some(included));
                    }
                    continue;
                }
                b'a' | b'p' | b'e' | b'f' => return Err((token, SyntaxFault::MissingLabel)),
                _ => return Err((token, SyntaxFault::Unexpected { token: text(bytes, token) })),
            }
            self.db.counts.statements += 1;
        }
        Ok(None)
    }

    fn close_scope(&mut self) -> Option<()> {
        let scope = self.scopes.pop()?;
        let here = self.db.statements.len() as u32;
        for &symbol in &self.variables[scope.variables..] {
            self.active[symbol as usize] = false;
        }
        for &statement in &self.floating[scope.floating..] {
            self.db.statements[statement as usize].scope_end = here;
            let variable = self.db.math[self.db.statements[statement as usize].math.start as usize + 1];
            self.floating_of[variable as usize] = NONE;
        }
        for &statement in &self.essential[scope.essential..] {
            self.db.statements[statement as usize].scope_end = here;
        }
        self.variables.truncate(scope.variables);
        self.floating.truncate(scope.floating);
        self.essential.truncate(scope.essential);
        self.disjoint = scope.disjoint;
        Some(())
    }

    fn inclusion(&mut self, bytes: &[u8], scanner: &mut Scanner<'_>, token: Token) -> Faulty<Option<u32>> {
        let name = scanner.next().ok_or((token, SyntaxFault::BadInclusion))?;
        let close = scanner.next().ok_or((token, SyntaxFault::BadInclusion))?;
        if &bytes[close.start..close.end] != b"$]" || bytes[name.start..name.end].contains(&b'$') || !self.scopes.is_empty() {
            return Err((token, SyntaxFault::BadInclusion));
        }
        let path = String::from_utf8_lossy(&bytes[name.start..name.end]).into_owned();
        self.db.sources.include(&path).map_err(|error| (name, error.into()))
    }

    /// The next token of a statement, comments passed over; `None` is its `$.`.
    #[inline]
    fn inside(bytes: &[u8], scanner: &mut Scanner<'_>, statement: Token) -> Faulty<Option<Token>> {
        loop {
            let token = scanner.next().ok_or((statement, SyntaxFault::UnclosedStatement))?;
            if bytes[token.start] != b'$' {
                return Ok(Some(token));
            }
            match &bytes[token.start..token.end] {
                b"$." => return Ok(None),
                b"$(" => skip_comment(scanner, token)?,
                b"$=" => return Ok(Some(token)),
                _ => return Err((token, SyntaxFault::Unexpected { token: text(bytes, token) })),
            }
        }
    }

    fn declare(&mut self, bytes: &[u8], token: Token, variable: bool) -> Faulty<u32> {
        if bytes[token.start..token.end].contains(&b'$') {
            return Err((token, SyntaxFault::BadSymbol { symbol: text(bytes, token) }));
        }
        let pool = (token, SyntaxFault::TooMany { what: "symbols", limit: MAX_POOL as u64 });
        let (symbol, new) =
            self.db.symbols.insert_in(bytes, token.start, token.end).filter(|&(id, _)| (id as usize) < MAX_POOL).ok_or(pool)?;
        if new {
            self.active.push(false);
            self.floating_of.push(NONE);
            self.place.push(NONE);
            self.db.is_variable.push(variable);
            let count = if variable { &mut self.db.counts.variables } else { &mut self.db.counts.constants };
            *count += 1;
            if self.db.labels.find_in(bytes, token.start, token.end).is_some() {
                return Err((token, SyntaxFault::LabelIsSymbol { label: text(bytes, token) }));
            }
        }
        // A variable of a scope that has closed may be declared again, as a variable.
        if self.active[symbol as usize] || self.db.is_variable[symbol as usize] != variable {
            return Err((token, SyntaxFault::Redeclared { name: text(bytes, token) }));
        }
        self.active[symbol as usize] = true;
        Ok(symbol)
    }

    fn constants(&mut self, bytes: &[u8], scanner: &mut Scanner<'_>, keyword: Token) -> Faulty<()> {
        if !self.scopes.is_empty() {
            return Err((keyword, SyntaxFault::LocalConstant));
        }
        let mut none = true;
        while let Some(token) = Self::inside(bytes, scanner, keyword)? {
            self.declare(bytes, token, false)?;
            none = false;
        }
        if none { Err((keyword, SyntaxFault::Empty)) } else { Ok(()) }
    }

    fn declare_variables(&mut self, bytes: &[u8], scanner: &mut Scanner<'_>, keyword: Token) -> Faulty<()> {
        let mut none = true;
        while let Some(token) = Self::inside(bytes, scanner, keyword)? {
            let symbol = self.declare(bytes, token, true)?;
            self.variables.push(symbol);
            none = false;
        }
        if none { Err((keyword, SyntaxFault::Empty)) } else { Ok(()) }
    }

    /// An active symbol.
    #[inline]
    fn symbol(&self, bytes: &[u8], token: Token) -> Faulty<u32> {
        match self.db.symbols.find_in(bytes, token.start, token.end) {
            Some(symbol) if self.active[symbol as usize] => Ok(symbol),
            _ => Err((token, SyntaxFault::Undeclared { symbol: text(bytes, token) })),
        }
    }

    fn disjoint(&mut self, bytes: &[u8], scanner: &mut Scanner<'_>, keyword: Token) -> Faulty<()> {
        let start = self.db.disjoint_symbols.len();
        while let Some(token) = Self::inside(bytes, scanner, keyword)? {
            let symbol = self.symbol(bytes, token)?;
            if !self.db.is_variable[symbol as usize] {
                return Err((token, SyntaxFault::NotAVariable { symbol: text(bytes, token) }));
            }
            // `place` marks what this statement has named; it is empty between statements.
            if std::mem::replace(&mut self.place[symbol as usize], 0) != NONE {
                return Err((token, SyntaxFault::DisjointRepeats { symbol: text(bytes, token) }));
            }
            self.db.disjoint_symbols.push(symbol);
        }
        let end = self.db.disjoint_symbols.len();
        for &symbol in &self.db.disjoint_symbols[start..end] {
            self.place[symbol as usize] = NONE;
        }
        if end - start < 2 {
            return Err((keyword, SyntaxFault::DisjointShape));
        }
        if end > MAX_POOL {
            return Err((keyword, SyntaxFault::TooMany { what: "variables in `$d` statements", limit: MAX_POOL as u64 }));
        }
        self.db.disjoint_groups.push(DisjointGroup { parent: self.disjoint, symbols: start as u32..end as u32 });
        self.disjoint = self.db.disjoint_groups.len() as u32 - 1;
        self.db.counts.disjoint += 1;
        Ok(())
    }

    fn labelled(&mut self, bytes: &[u8], scanner: &mut Scanner<'_>, label: Token, file: u32) -> Faulty<()> {
        let comment = std::mem::replace(&mut self.comment, 0..0);
        if !bytes[label.start..label.end].iter().all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')) {
            return Err((label, SyntaxFault::BadLabel { label: text(bytes, label) }));
        }
        let keyword = loop {
            let token = scanner.next().ok_or((label, SyntaxFault::UnclosedStatement))?;
            if &bytes[token.start..token.end] != b"$(" {
                break token;
            }
            skip_comment(scanner, token)?;
        };
        let kind = match &bytes[keyword.start..keyword.end] {
            b"$f" => StatementKind::Floating,
            b"$e" => StatementKind::Essential,
            b"$a" => StatementKind::Axiom,
            b"$p" => StatementKind::Theorem,
            b"$c" | b"$v" | b"$d" | b"${" | b"$}" | b"$[" => return Err((label, SyntaxFault::UnwantedLabel)),
            _ => return Err((keyword, SyntaxFault::Unexpected { token: text(bytes, keyword) })),
        };
        if self.db.symbols.find_in(bytes, label.start, label.end).is_some() {
            return Err((label, SyntaxFault::LabelIsSymbol { label: text(bytes, label) }));
        }
        let start = self.db.math.len();
        let mut has_proof = false;
        while let Some(token) = Self::inside(bytes, scanner, keyword)? {
            if bytes[token.start] == b'$' {
                if kind != StatementKind::Theorem {
                    return Err((token, SyntaxFault::Unexpected { token: text(bytes, token) }));
                }
                has_proof = true;
                break;
            }
            let symbol = self.symbol(bytes, token)?;
            if self.db.is_variable[symbol as usize] {
                if kind != StatementKind::Floating && self.floating_of[symbol as usize] == NONE {
                    return Err((token, SyntaxFault::Untyped { symbol: text(bytes, token) }));
                }
                if self.db.math.len() == start {
                    return Err((token, SyntaxFault::NotAConstant { symbol: text(bytes, token) }));
                }
            }
            self.db.math.push(symbol);
        }
        let end = self.db.math.len();
        if end == start {
            return Err((keyword, SyntaxFault::Empty));
        }
        let mut proof = 0..0;
        if has_proof {
            let from = scanner.position();
            proof = from as u32..Self::proof_end(bytes, scanner, keyword)? as u32;
        } else if kind == StatementKind::Theorem {
            return Err((keyword, SyntaxFault::MissingProof));
        }
        let limit = |what| (label, SyntaxFault::TooMany { what, limit: MAX_POOL as u64 });
        let (id, new) = self.db.labels.insert_in(bytes, label.start, label.end).ok_or(limit("labels"))?;
        if !new {
            return Err((label, SyntaxFault::Redeclared { name: text(bytes, label) }));
        }
        if end.max(self.db.code.len()) > MAX_POOL {
            return Err(limit("symbols in statements"));
        }
        let mut statement = Statement {
            kind,
            math: start as u32..end as u32,
            scope_end: NONE,
            frame: NONE,
            disjoint: self.disjoint,
            span: Span { file, start: label.start as u32, end: scanner.position() as u32 },
            proof,
            comment,
        };
        let counts = &mut self.db.counts;
        counts.statements += 1;
        match kind {
            StatementKind::Floating => {
                let expression = &self.db.math[start..end];
                if expression.len() != 2 || !self.db.is_variable[expression[1] as usize] {
                    return Err((keyword, SyntaxFault::FloatingShape));
                }
                let variable = expression[1] as usize;
                if self.floating_of[variable] != NONE {
                    return Err((label, SyntaxFault::TypedTwice { symbol: self.db.symbols.name(expression[1]).to_owned() }));
                }
                self.floating_of[variable] = id;
                self.floating.push(id);
                counts.floating += 1;
            }
            StatementKind::Essential => {
                self.essential.push(id);
                counts.essential += 1;
            }
            StatementKind::Axiom | StatementKind::Theorem => {
                *(if kind == StatementKind::Axiom { &mut counts.axioms } else { &mut counts.theorems }) += 1;
                statement.frame = self.db.frames.len() as u32;
                self.frame(start..end).map_err(|fault| (label, fault))?;
            }
        }
        self.db.statements.push(statement);
        Ok(())
    }

    /// Passes over a proof and says where its `$.` begins.
    fn proof_end(bytes: &[u8], scanner: &mut Scanner<'_>, statement: Token) -> Faulty<usize> {
        loop {
            let dollar = scanner.seek_dollar().ok_or((statement, SyntaxFault::UnclosedStatement))?;
            let token = Token { start: dollar, end: dollar + 2 };
            let stands_alone = bytes[dollar - 1] <= b' ' && bytes[dollar + 2] <= b' ';
            scanner.seek(dollar + 2);
            match (bytes[dollar + 1], stands_alone) {
                (b'.', true) => return Ok(dollar),
                (b'(', true) => skip_comment(scanner, token)?,
                _ => return Err((token, SyntaxFault::Unexpected { token: text(bytes, token) })),
            }
        }
    }
}

fn skip_comment(scanner: &mut Scanner<'_>, mark: Token) -> Faulty<()> {
    scanner.skip_comment().map_err(|fault| match fault {
        CommentFault::Unclosed => (mark, SyntaxFault::UnclosedComment),
        CommentFault::Marker(at) => (Token { start: at, end: at + 2 }, SyntaxFault::MarkInComment),
    })
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} statements: {} $a, {} $p, {} $e, {} $f, {} $d",
            self.statements, self.axioms, self.theorems, self.essential, self.floating, self.disjoint
        )
    }
}
