//! Chance that repeats: a small generator and a keyed permutation.

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), for made-up data only, never for keys.
///
/// `rand`'s `StdRng` may change its stream between versions; the shipped demo files have to come out the same
/// after an update.
pub(crate) struct Chance(u64);

impl Chance {
    /// The stream that belongs to one thing, named by `path`; equal names give equal streams.
    pub(crate) fn of(seed: u64, path: &[u64]) -> Self {
        let state = path
            .iter()
            .fold(mix(seed), |state, step| mix(state ^ mix(step.wrapping_add(GOLDEN))));
        Self(state)
    }

    /// A number in `0..end`; `end` is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        let product = u128::from(self.next()) * u128::from(end);
        (product >> 64) as u64
    }

    /// True in `percent` of a hundred cases.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of `list`, which is not empty.
    pub(crate) fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len() as u64) as usize]
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }
}

/// A bijection on `0..size`: unique values without a list of those already given out.
///
/// A four-round Feistel network on the next even number of bits, walked until it lands inside the range.
pub(crate) struct Shuffle {
    size: u64,
    half: u32,
    keys: [u64; 4],
}

impl Shuffle {
    /// The permutation of `0..size` that `seed` and `name` stand for.
    pub(crate) fn new(seed: u64, name: u64, size: u64) -> Self {
        let bits = u64::BITS - size.saturating_sub(1).leading_zeros();
        let mut chance = Chance::of(seed, &[name, size]);
        Self {
            size,
            half: bits.div_ceil(2).max(1),
            keys: std::array::from_fn(|_| chance.next()),
        }
    }

    /// Where `index` (in `0..size`) goes.
    pub(crate) fn at(&self, index: u64) -> u64 {
        debug_assert!(index < self.size);
        let mut value = self.round_trip(index);
        while value >= self.size {
            value = self.round_trip(value);
        }
        value
    }

    fn round_trip(&self, value: u64) -> u64 {
        let mask = (1u64 << self.half) - 1;
        let (left, right) = self
            .keys
            .iter()
            .fold((value >> self.half, value & mask), |(left, right), key| {
                (right, left ^ (mix(right ^ key) & mask))
            });
        (left << self.half) | right
    }
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffle_is_a_bijection() {
        for size in [1, 2, 3, 17, 1000, 4097] {
            let shuffle = Shuffle::new(7, 1, size);
            let mut seen: Vec<u64> = (0..size).map(|i| shuffle.at(i)).collect();
            seen.sort_unstable();
            assert!(seen.into_iter().eq(0..size), "size {size}");
        }
    }

    #[test]
    fn splitmix64_reference_values() {
        // the first outputs for state 1234567, from the reference implementation by Vigna
        let mut chance = Chance(1_234_567);
        assert_eq!(
            [chance.next(), chance.next()],
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]
        );
    }

    #[test]
    fn streams_repeat_and_differ_by_name() {
        let draw = |path: &[u64]| Chance::of(1, path).below(u64::MAX);
        assert_eq!(draw(&[1, 2]), draw(&[1, 2]));
        assert_ne!(draw(&[1, 2]), draw(&[2, 1]));
    }
}
