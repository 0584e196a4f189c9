//! Whether a client still waits for its answer, while nothing was sent for it yet.

use std::future::{pending, poll_fn};

use policy::deadline::LEAVING_TAKES;

use crate::engine;
use crate::transport::Transport;

/// Who waits for a connection, and may leave meanwhile.
#[derive(Clone, Copy)]
pub(crate) struct Waiter<'a> {
    /// `None` stays.
    client: Option<&'a Transport>,
}

impl<'a> Waiter<'a> {
    /// A client.
    pub(crate) fn client(transport: &'a Transport) -> Self {
        Self {
            client: Some(transport),
        }
    }

    /// One that stays.
    pub(crate) fn steadfast() -> Self {
        Self { client: None }
    }

    /// Ready once it leaves the queue. An end of its sending side counts: clients that gave up look
    /// like this, and those that half-close and then wait in a queue hardly exist.
    pub(crate) async fn leaves_queue(self) {
        self.ends().await;
    }

    /// Ready once it leaves while its connection is being opened. Clients that half-close behind their
    /// request do so now, and want their answer; those that have given up are known by their reset, or
    /// by the time that it takes.
    pub(crate) async fn leaves_opening(self) {
        if self.ends().await == Ended::Half {
            engine::sleep(LEAVING_TAKES).await;
        }
    }

    /// Ready once its connection has ended, one way or both.
    pub(crate) async fn ends(self) -> Ended {
        let Some(client) = self.client else {
            return pending().await;
        };
        loop {
            poll_fn(|cx| client.poll_read_ready_patiently(cx)).await;
            match client.peek(&mut [0]) {
                sys::Peek::Fin => return Ended::Half,
                sys::Peek::Reset | sys::Peek::Failed(_) => return Ended::Whole,
                sys::Peek::Quiet => {}
                // It sends its body, or its next request.
                sys::Peek::Bytes(_) => return pending().await,
            }
        }
    }
}

/// How much of a client's connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Its sending side.
    Half,
    Whole,
}
