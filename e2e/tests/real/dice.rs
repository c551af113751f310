//! Chance that can be repeated.

/// A small generator that gives the same on every machine.
#[derive(Debug)]
pub(crate) struct Dice {
    seed: u64,
    state: u64,
}

impl Dice {
    /// `FRESCO_TEST_SEED` repeats a run; without it every run has another seed.
    pub(crate) fn new() -> Self {
        let seed = match std::env::var("FRESCO_TEST_SEED") {
            Ok(seed) => seed.parse().expect("FRESCO_TEST_SEED is a number"),
            Err(_) => uuid::Uuid::new_v4().as_u64_pair().0,
        };
        Self { seed, state: seed | 1 }
    }

    pub(crate) const fn seed(&self) -> u64 {
        self.seed
    }

    /// A number below this one.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let modulus = u64::try_from(bound).expect("a small number");
        usize::try_from(self.state % modulus).expect("a small number")
    }

    /// One of these.
    pub(crate) fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// Fisher and Yates' shuffle.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last + 1);
            items.swap(last, other);
        }
    }
}
