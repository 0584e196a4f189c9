//! What a task may do in one poll: a transfer whose sockets are always ready must not keep others from theirs.
//!
//! Every read and write of a transport spends of it; reading asks for it. A task that has spent it is polled next
//! behind all others, after a look at the kernel.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::Poll;

/// Bytes read and written in one poll: 128 KiB passed on by a copy, or 256 KiB inside the kernel, which is about a
/// tenth of a millisecond.
const POLL: u32 = 512 * 1024;

/// What a call costs, besides its bytes: about the time of so many.
const CALL: u32 = 4 * 1024;

thread_local! {
    static LEFT: Cell<u32> = const { Cell::new(POLL) };
    /// The task that is being polled waits for the next turn.
    static YIELDED: Cell<bool> = const { Cell::new(false) };
}

/// A task begins to be polled.
pub(super) fn begin_poll() {
    LEFT.set(POLL);
    YIELDED.set(false);
}

/// Whether the task that was polled wants to be polled in the next turn.
pub(super) fn has_yielded() -> bool {
    YIELDED.get()
}

/// A call was made that moved so many bytes.
pub(crate) fn spend(bytes: usize) {
    let cost = CALL.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
    LEFT.set(LEFT.get().saturating_sub(cost));
}

/// Ready while the task that is being polled may go on; otherwise it is polled again in the next turn.
pub(crate) fn poll_budget() -> Poll<()> {
    if LEFT.get() > 0 {
        return Poll::Ready(());
    }
    YIELDED.set(true);
    Poll::Pending
}

/// Goes on while the task that is being polled may, otherwise in the next turn.
pub(crate) async fn budget() {
    poll_fn(|_| poll_budget()).await;
}

/// Lets all other tasks have a turn.
pub(crate) async fn yield_now() {
    LEFT.set(0);
    budget().await;
}
