//! Chance for the lanes: spread, not secrecy.

/// A small generator (SplitMix64).
pub(crate) struct Dice(u64);

impl Dice {
    /// Dice with this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// A number in `from..=to`.
    pub(crate) fn between(&mut self, from: i64, to: i64) -> i64 {
        let span = to.saturating_sub(from).unsigned_abs() + 1;
        from + (self.next() % span) as i64
    }

    /// One of `choices`; `None` of none.
    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        let last = i64::try_from(choices.len())
            .ok()?
            .checked_sub(1)
            .filter(|last| *last >= 0)?;
        choices.get(self.between(0, last) as usize).copied()
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dice_stay_in_range_and_reach_both_ends() {
        let mut dice = Dice::new(7);
        let thrown: Vec<i64> = (0..1_000).map(|_| dice.between(-3, 3)).collect();
        assert_eq!((thrown.iter().min(), thrown.iter().max()), (Some(&-3), Some(&3)));
        assert_eq!(dice.one_of::<u8>(&[]), None);
    }
}
