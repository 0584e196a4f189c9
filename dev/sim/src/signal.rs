//! Waiting for something that another task of the world does.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Poll, Waker};
use std::time::Duration;

/// Wakes whoever waits for a change.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    waiting: RefCell<Vec<Waker>>,
}

impl Signal {
    /// Something has changed.
    pub(crate) fn raise(&self) {
        self.waiting.take().into_iter().for_each(Waker::wake);
    }

    /// Waits until `found` finds something; it is asked after each change.
    pub(crate) async fn until<T>(&self, mut found: impl FnMut() -> Option<T>) -> T {
        poll_fn(|cx| match found() {
            Some(found) => Poll::Ready(found),
            None => {
                self.waiting.borrow_mut().push(cx.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}

/// Waits for whichever is ready first: `Some` of the first, or `None` if it was the second.
pub(crate) async fn unless<T>(work: impl Future<Output = T>, end: impl Future<Output = ()>) -> Option<T> {
    let (mut work, mut end) = (pin!(work), pin!(end));
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(done));
        }
        Pin::new(&mut end).poll(cx).map(|()| None)
    })
    .await
}

/// Waits for `work`, no longer than `limit`.
pub(crate) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    unless(work, proxy::sim::sleep(limit)).await
}
