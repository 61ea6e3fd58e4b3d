//! What is written: values, and numbers that look random.

/// How many values take turns: more than a batch, and prime to it, so that a lost, doubled or swapped record
/// meets the wrong value when it is read back.
pub const TURNS: usize = 67;

/// A small generator (xorshift64*), the same on both sides of a pair.
#[derive(Debug, Clone)]
pub struct Numbers(u64);

impl Numbers {
    /// Numbers of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next one.
    pub fn next_number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// The next one below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        let high = (u128::from(self.next_number()) * end as u128) >> 64;
        usize::try_from(high).expect("it is below a usize")
    }
}

/// The values of a run: record `i` has number `i % TURNS`.
#[derive(Debug)]
pub struct Values(Vec<Vec<u8>>);

impl Values {
    /// Values of that length, all different, of bytes that look random.
    #[must_use]
    pub fn new(length: usize) -> Self {
        let mut numbers = Numbers::new(length as u64);
        let mut value = |turn: usize| {
            let bytes = || numbers.next_number().to_le_bytes();
            let mut value: Vec<u8> = std::iter::repeat_with(bytes)
                .take(length.div_ceil(8))
                .flatten()
                .collect();
            value.truncate(length);
            value[0] = u8::try_from(turn).expect("there are fewer turns");
            value
        };
        Self((0..TURNS).map(&mut value).collect())
    }

    /// The value of record `i`.
    #[must_use]
    pub fn of(&self, i: usize) -> &[u8] {
        &self.0[i % TURNS]
    }

    /// Which record's value it is, of those that take turns.
    #[must_use]
    pub fn turn_of(&self, value: &[u8]) -> Option<usize> {
        let turn = usize::from(*value.first()?);
        (self.0.get(turn)? == value).then_some(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_all_different_and_told_apart() {
        let values = Values::new(12);
        for i in 0..2 * TURNS {
            assert_eq!(values.of(i).len(), 12);
            assert_eq!(values.turn_of(values.of(i)), Some(i % TURNS));
        }
        let mut wrong = values.of(3).to_vec();
        wrong[11] ^= 1;
        assert_eq!(values.turn_of(&wrong), None);
        assert_eq!(values.turn_of(&[]), None);
    }

    #[test]
    fn numbers_stay_below() {
        let mut numbers = Numbers::new(1);
        let mut seen = [0; 10];
        for _ in 0..1000 {
            seen[numbers.below(10)] += 1;
        }
        assert!(
            seen.iter().all(|count| (50..200).contains(count)),
            "{seen:?}"
        );
    }
}
