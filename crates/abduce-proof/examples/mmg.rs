use abduce_proof::metamath::*;
use std::sync::Arc;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let db = Database::open(std::path::Path::new(&a[1])).unwrap();
    let env = Environment::new(ParsedDatabase::new(&db).unwrap());
    let mut prover = Prover::new(&env, StateLimits::default());
    let none = Arc::default();
    let (mut bad, mut steps, mut applied, mut time, mut bytes, mut old, mut ttext) = (0, 0, 0, std::time::Duration::ZERO, 0, 0, std::time::Duration::ZERO);
    for t in db.theorems() {
        if !env.parsed.grammar.is_provable(&db, t) { continue }
        let problem = env.problem(t, Arc::clone(&none));
        prover.forget();
        let g = replay(&env.parsed, &env.patterns, prover.terms_mut(), t).unwrap();
        steps += g.formulas.len();
        let s = match prover.script(&problem, &g) { Ok(s) => s, Err(e) => { bad += 1; if bad < 20 { println!("{} script {e}", db.label(t)); } continue } };
        let t0 = std::time::Instant::now();
        let mut state = prover.start(&problem);
        for tac in &s { prover.apply(&problem, &mut state, tac).unwrap(); }
        time += t0.elapsed(); applied += s.len();
        let t0 = std::time::Instant::now();
        let texts: Vec<String> = s.iter().map(|t| prover.render_tactic(t)).collect();
        for (text, tac) in texts.iter().zip(&s) { match prover.parse_tactic(&problem, text) { Ok(x) if x == *tac => {}, e => { bad += 1; if bad < 20 { println!("{} {text} {e:?}", db.label(t)); } } } }
        ttext += t0.elapsed();
        match prover.finish(&problem, &state) { Ok(v) => { bytes += v.text.len(); old += db.proof_text(t).len(); if !v.dummies.is_empty() { bad += 1; if bad < 20 {println!("{} dummies", db.label(t));} } } Err(e) => { bad += 1; if bad < 20 { println!("{} finish {e}", db.label(t)); } } }
    }
    println!("steps {steps} applied {applied} bad {bad} apply {time:?} = {:.0}/s text {ttext:?} bytes {bytes} old {old}", applied as f64 / time.as_secs_f64());
}
