use abduce_proof::metamath::*;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let t0 = std::time::Instant::now();
    let db = Database::open(std::path::Path::new(&a[1])).unwrap();
    let t1 = std::time::Instant::now();
    let p = match ParsedDatabase::new(&db) { Ok(p) => p, Err(e) => { println!("{e}"); return } };
    let t2 = std::time::Instant::now();
    let pats = Patterns::new(&p);
    let t3 = std::time::Instant::now();
    let mut bad = 0; let mut out = vec![];
    for id in db.statements() { if db.kind(id) != StatementKind::Floating { out.clear(); p.grammar.print(&db, &p.terms, p.tree(id), &mut out); if out[..] != db.expression(id)[1..] { bad += 1; } } }
    let t4 = std::time::Instant::now();
    let mut terms = p.terms.clone(); let mut steps = 0; let mut wrong = 0;
    for t in db.theorems() {
        let n = terms.len();
        let g = match replay(&p, &pats, &mut terms, t) { Ok(g) => g, Err(e) => { if p.grammar.is_provable(&db, t) { println!("{} {e}", db.label(t)); wrong += 1;} continue } };
        steps += g.formulas.iter().filter(|f| matches!(f.by, Justification::Step{..})).count();
        if g.formulas[g.root as usize].formula != p.tree(t) { wrong += 1; }
        if terms.len() > p.terms.len() + 100_000 { terms.truncate(p.terms.len()); }
        let _ = n;
    }
    println!("parse {:?} grammar {:?} patterns {:?} print {:?} bad {bad} terms {} replay {:?} steps {steps} wrong {wrong}", t1 - t0, t2 - t1, t3 - t2, t4 - t3, p.terms.len(), t4.elapsed());
}
