//! Polls in vain. A task may be polled although nothing that it waits for has happened: a wake can be older than
//! what it waits for now. Nobody may rely on the contrary, so tests and simulated worlds poll more than they must.
//!
//! ```text
//!   unit tests          every task that is pending is polled again at once
//!   simulated worlds    some are, by chance, and now and then one that nobody woke
//!   else                none
//! ```

/// Whether a task that is pending is polled again at once.
pub(super) fn once_more() -> bool {
    #[cfg(feature = "sim")]
    if let Some(chance) = crate::engine::simulation::one_in(8) {
        return chance;
    }
    cfg!(test)
}

/// A task that is polled although nobody woke it: its place among so many.
#[cfg(feature = "sim")]
pub(super) fn one_of(count: usize) -> Option<usize> {
    let chance = crate::engine::simulation::one_in(4)?;
    (chance && count > 0).then(|| crate::engine::simulation::below(count))
}
