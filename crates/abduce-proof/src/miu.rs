//! The letter game MIU (Hofstadter 1979, "Gödel, Escher, Bach", chapter I) as a decision process: a small, exactly known world of proofs. Strings grow forward from `MI` by four
//! rules; what was done is written as a Metamath proof for `examples/proofs/miu.mm`, whose syntax is no grammar that tactics could use.

use crate::mdp::{FiniteMdp, ProofMdp, Transition};

/// A rule and where it is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MiuStep {
    /// xI → xIU.
    Add,
    /// Mx → Mxx.
    Double,
    /// xIIIy → xUy, x being as many letters.
    Three(usize),
    /// xUUy → xy, x being as many letters.
    Two(usize),
}

/// The process of deriving one string from `MI`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miu {
    target: Vec<u8>,
    max_length: usize,
    max_steps: usize,
}

/// A string and how it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MiuState {
    /// Letters.
    pub string: Vec<u8>,
    /// Steps from `MI`.
    pub steps: Vec<MiuStep>,
}

impl Miu {
    /// The process that ends at `target`, through strings of at most `max_length` letters, in at most `max_steps` steps. `None` where `target` is no string of M, I and U.
    pub fn new(target: &str, max_length: usize, max_steps: usize) -> Option<Self> {
        let is_string = target.bytes().all(|letter| b"MIU".contains(&letter));
        is_string.then(|| Self { target: target.as_bytes().to_vec(), max_length, max_steps })
    }

    /// The string after a step, where the step applies.
    pub fn after(string: &[u8], step: MiuStep) -> Option<Vec<u8>> {
        match step {
            MiuStep::Add => (string.last() == Some(&b'I')).then(|| [string, b"U"].concat()),
            MiuStep::Double => string.strip_prefix(b"M").map(|rest| [string, rest].concat()),
            MiuStep::Three(place) => {
                let (before, rest) = string.split_at_checked(place)?;
                rest.strip_prefix(b"III").map(|after| [before, b"U", after].concat())
            }
            MiuStep::Two(place) => {
                let (before, rest) = string.split_at_checked(place)?;
                rest.strip_prefix(b"UU").map(|after| [before, after].concat())
            }
        }
    }

    /// The proof of what the steps derive, as it stands between `$=` and `$.` in `examples/proofs/miu.mm`; `None` where a step does not apply.
    pub fn proof(steps: &[MiuStep]) -> Option<String> {
        let mut string = b"MI".to_vec();
        // Each rule's variables come before the proof of its premise, so they are collected from the last step back.
        let mut before: Vec<String> = Vec::new();
        let mut after = vec!["start".to_owned()];
        for &step in steps {
            let (variables, label): (Vec<&[u8]>, &str) = match step {
                MiuStep::Add => (vec![string.strip_suffix(b"I")?], "add"),
                MiuStep::Double => (vec![string.strip_prefix(b"M")?], "double"),
                MiuStep::Three(place) => (vec![string.get(..place)?, string.get(place + 3..)?], "three"),
                MiuStep::Two(place) => (vec![string.get(..place)?, string.get(place + 2..)?], "two"),
            };
            before.push(variables.into_iter().map(syntax).collect::<Vec<_>>().join(" "));
            after.push(label.to_owned());
            string = Self::after(&string, step)?;
        }
        before.reverse();
        before.append(&mut after);
        Some(before.join(" "))
    }
}

/// The proof that letters are a string.
fn syntax(letters: &[u8]) -> String {
    letters.iter().fold("s0".to_owned(), |proof, &letter| format!("{proof} s{}", char::from(letter)))
}

impl ProofMdp for Miu {
    type State = MiuState;
    type Action = MiuStep;
    /// The string and the number of steps.
    type Key = (Vec<u8>, usize);

    fn initial(&mut self) -> MiuState {
        MiuState { string: b"MI".to_vec(), steps: Vec::new() }
    }

    fn step(&mut self, state: &MiuState, &action: &MiuStep) -> Transition<MiuState> {
        let Some(string) = Self::after(&state.string, action) else { return Transition::Failed("no_match") };
        if state.steps.len() >= self.max_steps || string.len() > self.max_length || self.is_done(state) {
            return Transition::Failed("limit");
        }
        let next = MiuState { string, steps: state.steps.iter().copied().chain([action]).collect() };
        if self.is_done(&next) { Transition::Done(next) } else { Transition::Open(next) }
    }

    fn is_done(&self, state: &MiuState) -> bool {
        state.string == self.target
    }

    fn key(&self, state: &MiuState) -> (Vec<u8>, usize) {
        (state.string.clone(), state.steps.len())
    }
}

impl FiniteMdp for Miu {
    fn actions(&mut self, state: &MiuState, actions: &mut Vec<MiuStep>) {
        actions.clear();
        let places = 0..state.string.len();
        let all = [MiuStep::Add, MiuStep::Double].into_iter().chain(places.clone().map(MiuStep::Three)).chain(places.map(MiuStep::Two));
        for step in all {
            if !matches!(self.step(state, &step), Transition::Failed(_)) {
                actions.push(step);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metamath::{Database, KernelLimits, verify};
    use std::num::NonZeroUsize;

    const MIU: &str = include_str!("../../../examples/proofs/miu.mm");

    /// Every derivation of up to 5 steps, written as a theorem of the database: the kernel accepts all of them, and none for another string.
    #[test]
    fn every_derivation_is_a_proof() {
        let mut process = Miu::new("U", 12, 5).unwrap();
        let mut open = vec![process.initial()];
        let (mut theorems, mut actions, mut count) = (String::new(), Vec::new(), 0);
        let spaced = |string: &[u8]| string.iter().map(|&letter| char::from(letter).to_string()).collect::<Vec<_>>().join(" ");
        while let Some(state) = open.pop() {
            let proof = Miu::proof(&state.steps).unwrap();
            theorems.push_str(&format!("t{count} $p |- {} $= {proof} $.\n", spaced(&state.string)));
            count += 1;
            process.actions(&state, &mut actions);
            for action in &actions {
                match process.step(&state, action) {
                    Transition::Open(next) => open.push(next),
                    other => panic!("{other:?}"),
                }
            }
        }
        assert!(count > 50, "{count}");
        let check =
            |text: &str| verify(&Database::from_text("miu.mm", text.as_bytes()).unwrap(), KernelLimits::default(), NonZeroUsize::MIN);
        let report = check(&format!("{MIU}{theorems}"));
        assert!(report.faults.is_empty() && report.checked == count + 3, "{:?}", report.faults);
        let wrong = check(&format!("{MIU}{}", theorems.replace(" $= ", " U $= ")));
        assert_eq!(wrong.faults.len(), count);
    }

    #[test]
    fn rules_apply_where_they_do() {
        let after = |string: &str, step| Miu::after(string.as_bytes(), step).map(|string| String::from_utf8(string).unwrap());
        assert_eq!(after("MI", MiuStep::Add).as_deref(), Some("MIU"));
        assert_eq!(after("MU", MiuStep::Add), None);
        assert_eq!(after("MIU", MiuStep::Double).as_deref(), Some("MIUIU"));
        assert_eq!(after("MIIII", MiuStep::Three(1)).as_deref(), Some("MUI"));
        assert_eq!(after("MIIII", MiuStep::Three(3)), None);
        assert_eq!(after("MUUI", MiuStep::Two(1)).as_deref(), Some("MI"));
        assert_eq!(after("MUUI", MiuStep::Two(9)), None);
        assert!(Miu::new("MAU", 9, 9).is_none());
        assert_eq!(Miu::proof(&[MiuStep::Three(0)]), None);
    }
}
