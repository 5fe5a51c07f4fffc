//! Frames of assertions: what they ask for, coded for the kernel.

use super::database::{Frame, Hypothesis, NONE, VARIABLE, range};
use super::parse::{MAX_POOL, Parser};
use super::syntax_fault::SyntaxFault;

/// Most pairs of mandatory variables that must be distinct, over all assertions.
const MAX_PAIRS: usize = 1 << 27;

impl Parser {
    /// Builds the frame of the assertion with these symbols: its variables and those of the active `$e`, their `$f`, all active `$e`, and the `$d` among them.
    pub(super) fn frame(&mut self, math: std::ops::Range<usize>) -> Result<(), SyntaxFault> {
        let db = &mut self.db;
        self.mandatory.clear();
        let mut collect = |symbols: &[u32]| {
            for &symbol in symbols {
                if db.is_variable[symbol as usize] && self.place[symbol as usize] == NONE {
                    self.place[symbol as usize] = 0;
                    self.mandatory.push(self.floating_of[symbol as usize]);
                }
            }
        };
        collect(&db.math[math.clone()]);
        for &essential in &self.essential {
            collect(&db.math[range(&db.statements[essential as usize].math)]);
        }
        self.mandatory.sort_unstable();
        for (place, &floating) in self.mandatory.iter().enumerate() {
            let variable = db.math[db.statements[floating as usize].math.start as usize + 1];
            self.place[variable as usize] = place as u32;
        }
        let first = db.hypotheses.len() as u32;
        // Both lists are in order of appearance: merge them.
        let mut floating = self.mandatory.iter().peekable();
        let mut essential = self.essential.iter().peekable();
        loop {
            let is_floating = match (floating.peek(), essential.peek()) {
                (Some(f), Some(e)) => f < e,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => break,
            };
            let statement = if is_floating { floating.next() } else { essential.next() };
            let Some(&statement) = statement else { break };
            let symbols = range(&db.statements[statement as usize].math);
            let typecode = db.math[symbols.start];
            let start = db.code.len() as u32;
            if !is_floating {
                encode(&mut db.code, &db.math[symbols], &self.place, &db.is_variable);
            }
            db.hypotheses.push(Hypothesis { statement, typecode, code: start..db.code.len() as u32, floating: is_floating });
        }
        let start = db.code.len() as u32;
        encode(&mut db.code, &db.math[math], &self.place, &db.is_variable);
        let conclusion = start..db.code.len() as u32;
        let pairs = db.pairs.len();
        let mut at = self.disjoint;
        let mut groups = 0;
        while let Some(group) = db.disjoint_groups.get(at as usize) {
            self.local.clear();
            self.local.extend(
                db.disjoint_symbols[range(&group.symbols)].iter().map(|&symbol| self.place[symbol as usize]).filter(|&place| place != NONE),
            );
            for (i, &a) in self.local.iter().enumerate() {
                db.pairs.extend(self.local[..i].iter().map(|&b| (a.min(b), a.max(b))));
                if db.pairs.len() > MAX_PAIRS {
                    return Err(SyntaxFault::TooMany { what: "pairs of distinct variables", limit: MAX_PAIRS as u64 });
                }
            }
            groups += usize::from(self.local.len() > 1);
            at = group.parent;
        }
        if groups > 1 {
            db.pairs[pairs..].sort_unstable();
            let mut kept = pairs;
            for i in pairs..db.pairs.len() {
                if i == pairs || db.pairs[i] != db.pairs[kept - 1] {
                    db.pairs[kept] = db.pairs[i];
                    kept += 1;
                }
            }
            db.pairs.truncate(kept);
        }
        for &floating in &self.mandatory {
            let variable = db.math[db.statements[floating as usize].math.start as usize + 1];
            self.place[variable as usize] = NONE;
        }
        db.frames.push(Frame { hypotheses: first..db.hypotheses.len() as u32, conclusion, disjoint: pairs as u32..db.pairs.len() as u32 });
        if db.hypotheses.len() > MAX_POOL || db.code.len() > MAX_POOL {
            return Err(SyntaxFault::TooMany { what: "mandatory hypotheses or their symbols", limit: MAX_POOL as u64 });
        }
        Ok(())
    }
}

fn encode(code: &mut Vec<u32>, expression: &[u32], place: &[u32], is_variable: &[bool]) {
    code.extend(expression.iter().map(|&symbol| if is_variable[symbol as usize] { place[symbol as usize] | VARIABLE } else { symbol }));
}
