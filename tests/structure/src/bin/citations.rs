//! Prints how often each clause of each standard is cited.

use tinsmith_structure::citations::{SOURCES, count};

fn main() {
    let count = count();
    let mut total = 0;
    for (source, title) in SOURCES {
        let of = count
            .iter()
            .filter(|(citation, _)| citation.source == *source);
        let of: Vec<_> = of.collect();
        let sum: usize = of.iter().map(|(_, times)| **times).sum();
        total += sum;
        println!("{sum:5}  {source}  {title}");
        for (citation, times) in of.iter().filter(|(c, _)| !c.clause.is_empty()) {
            println!("       {times:5}  §{}", citation.clause);
        }
    }
    println!("{total:5}  in all");
}
