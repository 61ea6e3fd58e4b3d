//! Runs a property over many cases, each with a seed of its own.

use std::hash::{BuildHasher, Hasher, RandomState};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

/// Runs `cases` cases, or as many as `LAMINARMQ_MODEL_CASES` says. The first seed is `LAMINARMQ_SEED`, or any.
///
/// # Panics
///
/// When a case fails: with the smallest one found, and with the line that replays it.
pub(crate) fn cases<S: Strategy>(
    program: &str,
    test: &str,
    cases: u64,
    strategy: &S,
    run: impl Fn(&S::Value),
) {
    let cases = number("LAMINARMQ_MODEL_CASES").unwrap_or(cases);
    let first = number("LAMINARMQ_SEED").unwrap_or_else(any_seed);
    for seed in (0..cases).map(|case| first.wrapping_add(case)) {
        let config = Config {
            cases: 1,
            failure_persistence: None,
            max_shrink_iters: 3000,
            ..Config::default()
        };
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(config, rng);
        let result = runner.run(strategy, |case| {
            run(&case);
            Ok(())
        });
        match result {
            Ok(()) => {}
            Err(TestError::Fail(why, case)) => panic!(
                "{why}\n{case:#?}\nreplay with LAMINARMQ_SEED={seed} LAMINARMQ_MODEL_CASES=1 \
                 cargo test -p laminarmq --test {program} {test}"
            ),
            Err(TestError::Abort(why)) => panic!("{why}"),
        }
    }
    println!("{test}: {cases} cases from LAMINARMQ_SEED={first}");
}

fn number(name: &str) -> Option<u64> {
    let given = std::env::var(name).ok()?;
    let number = given.parse();
    Some(number.unwrap_or_else(|error| panic!("{name}={given}: {error}")))
}

/// Another one in each run.
fn any_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}
