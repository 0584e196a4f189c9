//! A copy of a request for whoever waits for it, left as soon as the request has come whole.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// Why there is no copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoCopy {
    /// The request is larger than what is kept of one (`keepAlive.replayBuffer`).
    TooLarge,
    /// It ended before it had come whole.
    Ended,
}

#[derive(Debug)]
enum State {
    Coming(Option<Waker>),
    Here(Result<Rc<[u8]>, NoCopy>),
}

/// The side that waits.
#[derive(Debug)]
pub(crate) struct CopyReceiver(Rc<RefCell<State>>);

/// The side that leaves the copy. Dropped before, it says that there is none.
#[derive(Debug)]
pub(crate) struct CopySender(Rc<RefCell<State>>);

/// Both sides.
pub(crate) fn copy() -> (CopySender, CopyReceiver) {
    let state = Rc::new(RefCell::new(State::Coming(None)));
    (CopySender(state.clone()), CopyReceiver(state))
}

impl CopySender {
    /// Leaves `request`, or says why there is no copy of it.
    pub(crate) fn leave(self, request: Result<&[u8], NoCopy>) {
        self.put(request.map(Rc::from));
    }

    fn put(&self, request: Result<Rc<[u8]>, NoCopy>) {
        let mut state = self.0.borrow_mut();
        if let State::Coming(waker) = &mut *state {
            let waker = waker.take();
            *state = State::Here(request);
            drop(state);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl Drop for CopySender {
    fn drop(&mut self) {
        self.put(Err(NoCopy::Ended));
    }
}

impl CopyReceiver {
    /// Waits for the copy. What the request's client may take for its body bounds the wait.
    pub(crate) async fn receive(self) -> Result<Rc<[u8]>, NoCopy> {
        poll_fn(|cx| match &mut *self.0.borrow_mut() {
            State::Here(request) => Poll::Ready(request.clone()),
            State::Coming(waker) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Context;

    use super::*;

    fn now(receiver: CopyReceiver) -> Poll<Result<Rc<[u8]>, NoCopy>> {
        pin!(receiver.receive()).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn what_is_left_is_received_and_what_is_dropped_is_told() {
        let (sender, receiver) = copy();
        sender.leave(Ok(b"whole"));
        assert_eq!(now(receiver), Poll::Ready(Ok(Rc::from(b"whole".as_slice()))));
        let (sender, receiver) = copy();
        sender.leave(Err(NoCopy::TooLarge));
        assert_eq!(now(receiver), Poll::Ready(Err(NoCopy::TooLarge)));
        let (sender, receiver) = copy();
        drop(sender);
        assert_eq!(now(receiver), Poll::Ready(Err(NoCopy::Ended)));
        let (_sender, receiver) = copy();
        assert_eq!(now(receiver), Poll::Pending);
    }
}
