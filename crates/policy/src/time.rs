//! Time and chance as arguments: a [`Moment`] has no `now()`, [`Dice`] are seeded.

use std::time::Duration;

/// A point on the monotonic clock, in nanoseconds since an origin that the shell chose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The latest moment there is: a deadline that never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// The moment `nanos` nanoseconds after the origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The moment `millis` milliseconds after the origin.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Self;

    /// Saturates at [`Moment::NEVER`].
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(nanos(span)))
    }
}

/// A span in nanoseconds, as far as they go: without the 128 bits that [`Duration::as_nanos`] takes.
pub(crate) const fn nanos(span: Duration) -> u64 {
    span.as_secs()
        .saturating_mul(1_000_000_000)
        .saturating_add(span.subsec_nanos() as u64)
}

/// A seeded source of chance (SplitMix64): the same seed gives the same throws.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that start from `seed`.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..limit`; 0 if `limit` is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(limit)) >> 64) as u64
    }

    /// A span in `0..=most`, every nanosecond alike.
    pub fn up_to(&mut self, most: Duration) -> Duration {
        Duration::from_nanos(self.below(nanos(most).saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_saturates_instead_of_wrapping() {
        assert_eq!(Moment::NEVER + Duration::from_secs(1), Moment::NEVER);
        assert_eq!(
            Moment::from_millis(1).since(Moment::from_millis(2)),
            Duration::ZERO
        );
    }

    #[test]
    fn nanoseconds_end_where_they_must() {
        for span in [Duration::ZERO, Duration::from_nanos(1_999_999_999), Duration::MAX] {
            let exact = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
            assert_eq!(nanos(span), exact);
        }
    }

    #[test]
    fn dice_stay_below_their_limit_and_repeat_for_a_seed() {
        let (mut one, mut two) = (Dice::seeded(7), Dice::seeded(7));
        for _ in 0..1000 {
            let throw = one.below(6);
            assert!(throw < 6);
            assert_eq!(throw, two.below(6));
        }
        assert_eq!(one.below(0), 0);
    }
}
