//! Stories from seeds: a failure names its seed, and one story can be told alone.

use std::panic::{AssertUnwindSafe, catch_unwind};

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Tells a story for each seed below `seeds`, on all cores. `TINSMITH_SEED=N` tells that one alone,
/// `TINSMITH_SEEDS=N` so many.
///
/// # Panics
/// Some stories end badly; their seeds are named.
pub fn tell(seeds: u64, story: fn(u64)) {
    if let Some(seed) = number("TINSMITH_SEED") {
        return story(seed);
    }
    let seeds = number("TINSMITH_SEEDS").unwrap_or(seeds);
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let failed: Vec<u64> = std::thread::scope(|scope| {
        let tell = move |first: u64| {
            let all = (first..seeds).step_by(threads as usize);
            all.filter(|seed| catch_unwind(AssertUnwindSafe(|| story(*seed))).is_err())
                .take(3)
                .collect::<Vec<u64>>()
        };
        let workers: Vec<_> = (0..threads).map(|n| scope.spawn(move || tell(n))).collect();
        let failed = workers.into_iter().flat_map(|worker| {
            let result = worker.join();
            result.unwrap_or_else(|_| panic!("stories catch their panics"))
        });
        failed.collect()
    });
    assert!(
        failed.is_empty(),
        "stories that end badly: {failed:?}; tell one again with TINSMITH_SEED={}",
        failed[0]
    );
}
