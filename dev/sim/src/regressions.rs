//! Seeds that once failed. They are lived again with every test run, and never deleted.

/// A seed and what it showed.
#[derive(Clone, Copy, Debug)]
pub struct Regression {
    /// The world.
    pub seed: u64,
    /// How much of its life shows it.
    pub hours: u64,
    /// What was wrong.
    pub was: &'static str,
}

/// All of them, in the order in which they were found.
pub const REGRESSIONS: &[Regression] = &[
    Regression {
        seed: 0x2,
        hours: 24,
        was: "a retry that was not admitted gave back a permit that it never had",
    },
    Regression {
        seed: 0x3,
        hours: 4,
        was: "a request that ended its wait itself left its waker with the cluster",
    },
];
