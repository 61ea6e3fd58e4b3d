//! Random numbers, all from the seed, one stream per concern: what the network draws does not
//! change what the disk draws.

use laminarmq_replica::RandomSource;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// One stream of random numbers.
pub(crate) struct Random {
    stream: ChaCha8Rng,
}

impl Random {
    pub(crate) fn new(seed: u64, concern: u64) -> Self {
        let mut stream = ChaCha8Rng::seed_from_u64(seed);
        stream.set_stream(concern);
        Self { stream }
    }

    /// A stream of its own that follows from this one.
    pub(crate) fn fork(&mut self) -> Self {
        Self::new(self.next(), 0)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.stream.next_u64()
    }

    /// Below `end`, which is not 0. The tiny bias of the remainder does not matter here.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// In `[from, to]`.
    pub(crate) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// True this often in a thousand.
    pub(crate) fn per_mille(&mut self, chance: u64) -> bool {
        self.below(1000) < chance
    }

    /// One of these, of which there is at least one.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let at = self.below(from.len() as u64);
        from[usize::try_from(at).expect("an index")]
    }
}

impl RandomSource for Random {
    fn next_u64(&mut self) -> u64 {
        self.next()
    }
}
