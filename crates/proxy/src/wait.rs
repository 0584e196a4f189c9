//! Waiting with a limit, and for one of two things.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::Poll;

use crate::engine::Alarm;

/// The alarm went off first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Late;

/// Waits for `work`, but not past the alarm.
pub(crate) async fn within<T>(alarm: &Alarm, work: impl Future<Output = T>) -> Result<T, Late> {
    let mut work = pin!(work);
    std::future::poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Ok(done)),
        Poll::Pending => alarm.poll_due(cx).map(|()| Err(Late)),
    })
    .await
}

/// Which of two was ready first.
#[derive(Debug)]
pub(crate) enum First<A, B> {
    /// The first.
    A(A),
    /// The second.
    B(B),
}

/// Waits for whichever is ready first; `a` is asked first. The other is dropped.
pub(crate) async fn first<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> First<A, B> {
    let (mut a, mut b) = (pin!(a), pin!(b));
    std::future::poll_fn(|cx| {
        if let Poll::Ready(done) = a.as_mut().poll(cx) {
            return Poll::Ready(First::A(done));
        }
        b.as_mut().poll(cx).map(First::B)
    })
    .await
}

/// Waits for all of them, side by side.
pub(crate) async fn all(mut work: Vec<Pin<Box<dyn Future<Output = ()>>>>) {
    std::future::poll_fn(|cx| {
        work.retain_mut(|one| one.as_mut().poll(cx).is_pending());
        if work.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
