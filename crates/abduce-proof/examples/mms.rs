use abduce_proof::metamath::*;
use abduce_proof::search::*;
use std::collections::*;
use std::sync::Arc;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let db = Database::open(std::path::Path::new(&a[1])).unwrap();
    let env = Environment::new(ParsedDatabase::new(&db).unwrap());
    let labels: Vec<StatementId> = std::fs::read_to_string(&a[2]).unwrap().lines().filter_map(|l| db.find(l.trim())).collect();
    let heldout: HashSet<StatementId> = labels.iter().copied().collect();
    let t0 = std::time::Instant::now();
    let index = ConclusionIndex::new(&env);
    let corpus = Corpus::new(&env, &heldout);
    println!("{} labels, corpus {:?}", labels.len(), t0.elapsed());
    let n: usize = a[3].parse().unwrap();
    let labels: Vec<StatementId> = labels.iter().copied().step_by(300 / n).collect();
    for ranking in [Ranking::Uniform, Ranking::Frequency, Ranking::Ngram, Ranking::Bm25] {
        let t0 = std::time::Instant::now();
        let trial = Trial {
            ranking,
            method: Method::BestFirst,
            budget: Budget { expansions: a[4].parse().unwrap(), depth: 8, ..Budget::default() },
            seed: abduce_data::Seed(1),
            excluded: Arc::default(),
        };
        let r = evaluate(&env, &index, &corpus, &labels, &trial, std::num::NonZeroUsize::MIN, &Default::default());
        let k = r.iter().filter(|x| !x.proofs.is_empty()).count();
        let refused: Vec<_> = r.iter().flat_map(|x| &x.refused).collect();
        println!(
            "{ranking:?} {k}/{} {:?} refused {refused:?} {:?} {:?}",
            labels.len(),
            wilson(k, labels.len()),
            t0.elapsed(),
            r.iter().fold(BTreeMap::new(), |mut m, x| {
                for (k, v) in &x.failures {
                    *m.entry(*k).or_insert(0) += v;
                }
                m
            })
        );
        let mut slow: Vec<_> = r.iter().collect();
        slow.sort_by_key(|x| std::cmp::Reverse(x.time));
        for x in slow.iter().take(3) {
            println!("   {} {:?} exp {}", db.label(x.theorem), x.time, x.expansions);
        }
    }
}
