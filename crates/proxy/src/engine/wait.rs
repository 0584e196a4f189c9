//! Waiting with a limit, and for one of two things.

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

use crate::engine::Alarm;

/// The alarm went off first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Late;

/// Waits for `work`, but not past the alarm. Takes pinned work, so that it is stored once.
pub(crate) fn within<T>(
    alarm: &Alarm,
    mut work: impl Future<Output = T> + Unpin,
) -> impl Future<Output = Result<T, Late>> {
    std::future::poll_fn(move |cx| match Pin::new(&mut work).poll(cx) {
        Poll::Ready(done) => Poll::Ready(Ok(done)),
        Poll::Pending => alarm.poll_due(cx).map(|()| Err(Late)),
    })
}

/// Which of two was ready first.
#[derive(Debug)]
pub(crate) enum First<A, B> {
    /// The first.
    A(A),
    /// The second.
    B(B),
}

/// Waits for whichever is ready first; `a` is asked first. Takes pinned work, as `within` does.
pub(crate) fn first<A, B>(
    mut a: impl Future<Output = A> + Unpin,
    mut b: impl Future<Output = B> + Unpin,
) -> impl Future<Output = First<A, B>> {
    std::future::poll_fn(move |cx| {
        if let Poll::Ready(done) = Pin::new(&mut a).poll(cx) {
            return Poll::Ready(First::A(done));
        }
        Pin::new(&mut b).poll(cx).map(First::B)
    })
}

/// Waits for all of them, side by side.
pub(crate) async fn all(mut work: Vec<Pin<Box<dyn Future<Output = ()>>>>) {
    std::future::poll_fn(|cx| {
        work.retain_mut(|one| one.as_mut().poll(cx).is_pending());
        if work.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}
