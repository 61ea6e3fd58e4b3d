//! The values of generated records: a mark that says which record this is, then bytes that follow from
//! the mark.
//!
//! ```text
//! 0         8         16        24
//! +---------+---------+---------+---------------------------+
//! | run     | number  | due (ns)| xorshift, seeded by both  |
//! +---------+---------+---------+---------------------------+
//! ```
//!
//! So every value is fresh, no codec or file system can shorten it, and a reader can tell a record that
//! is missing, doubled or altered without having kept what was sent.

/// The mark alone.
pub(crate) const RECORD_BYTES_MIN: usize = 24;

/// Independent generators side by side, so that the processor works on several words at once.
const LANES: usize = 4;
const LANE_BYTES: usize = 8;
const ROUND_BYTES: usize = LANES * LANE_BYTES;

/// Which record this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// Random number of the run.
    pub(super) run: u64,
    /// Number of the record within the run, from 0.
    pub(super) number: u64,
    /// When its batch was due, in nanoseconds after the start of the run.
    pub(super) due_ns: u64,
}

impl Mark {
    /// The mark of a value; `None`: too short for one.
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        let (words, _) = value.get(..RECORD_BYTES_MIN)?.as_chunks::<8>();
        let [run, number, due_ns] = [0, 1, 2].map(|at: usize| u64::from_le_bytes(words[at]));
        Some(Self {
            run,
            number,
            due_ns,
        })
    }

    /// Fills `value`, which has room for the mark.
    pub(super) fn fill(self, value: &mut [u8]) {
        let (head, body) = value.split_at_mut(RECORD_BYTES_MIN);
        let (words, _) = head.as_chunks_mut::<8>();
        for (word, number) in words.iter_mut().zip([self.run, self.number, self.due_ns]) {
            *word = number.to_le_bytes();
        }
        let mut stream = Stream::seeded(self.run, self.number);
        let (rounds, rest) = body.as_chunks_mut::<ROUND_BYTES>();
        for round in rounds {
            *round = stream.round();
        }
        let last = stream.round();
        rest.copy_from_slice(&last[..rest.len()]);
    }

    /// Whether the bytes behind the mark are those that [`Mark::fill`] wrote.
    pub(super) fn fits(self, value: &[u8]) -> bool {
        let Some(body) = value.get(RECORD_BYTES_MIN..) else {
            return false;
        };
        let mut stream = Stream::seeded(self.run, self.number);
        let (rounds, rest) = body.as_chunks::<ROUND_BYTES>();
        let whole = rounds.iter().all(|round| *round == stream.round());
        whole && *rest == stream.round()[..rest.len()]
    }
}

struct Stream {
    lanes: [u64; LANES],
}

impl Stream {
    fn seeded(run: u64, number: u64) -> Self {
        let mut seed = run ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self {
            lanes: [(); LANES].map(|()| {
                seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
                // A state of 0 would stay 0.
                scrambled(seed) | 1
            }),
        }
    }

    #[inline]
    fn round(&mut self) -> [u8; ROUND_BYTES] {
        let mut bytes = [0; ROUND_BYTES];
        let (words, _) = bytes.as_chunks_mut::<LANE_BYTES>();
        for (lane, word) in self.lanes.iter_mut().zip(words) {
            *lane ^= *lane << 13;
            *lane ^= *lane >> 7;
            *lane ^= *lane << 17;
            *word = lane.to_le_bytes();
        }
        bytes
    }
}

/// Neighbouring numbers become numbers that have nothing in common (the finaliser of splitmix64).
fn scrambled(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(number: u64) -> Mark {
        Mark {
            run: 7,
            number,
            due_ns: 99,
        }
    }

    #[test]
    fn a_value_tells_its_mark_and_any_changed_byte() {
        for size in [RECORD_BYTES_MIN, 25, 56, 100, 1024] {
            let mut value = vec![0; size];
            mark(5).fill(&mut value);
            assert_eq!(Mark::read(&value), Some(mark(5)));
            assert!(mark(5).fits(&value));
            for at in RECORD_BYTES_MIN..size {
                value[at] ^= 1;
                assert!(!mark(5).fits(&value), "byte {at} of {size}");
                value[at] ^= 1;
            }
        }
        assert_eq!(Mark::read(&[0; RECORD_BYTES_MIN - 1]), None);
    }

    #[test]
    fn values_are_fresh() {
        let value = |number| {
            let mut value = vec![0; 1024];
            mark(number).fill(&mut value);
            value.split_off(RECORD_BYTES_MIN)
        };
        assert_ne!(value(0), value(1));
        // And nothing repeats within one.
        let value = value(0);
        let mut rounds: Vec<_> = value.chunks(ROUND_BYTES).collect();
        let count = rounds.len();
        rounds.sort_unstable();
        rounds.dedup();
        assert_eq!(rounds.len(), count);
    }
}
