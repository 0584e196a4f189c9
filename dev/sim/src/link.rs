//! A connection between the proxy and an endpoint, with a length: what one end does, the other sees
//! later. The proxy's end is a socket; this is the endpoint's, and the wire between.
//!
//! Acknowledgements are those of TCP: they count what has reached a machine that had not closed,
//! and are back after the same way again. That makes the keep-alive race what it is outside.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use policy::time::Moment;
use proxy::sim::{Stream, Unread, now, sleep_until, spawn};

use crate::signal::{Signal, unless, within};

/// The endpoint's end.
#[derive(Debug)]
pub(crate) struct Link {
    /// One way.
    length: Duration,
    stream: RefCell<Option<Rc<Stream>>>,
    phase: Cell<Phase>,
    /// To the endpoint: when it is there, and what; nothing is the end.
    arriving: RefCell<VecDeque<(Moment, Vec<u8>)>>,
    /// To the proxy: when it is there, and what; nothing is a FIN.
    leaving: RefCell<VecDeque<(Moment, Vec<u8>)>>,
    acknowledged: RefCell<Acknowledged>,
    news: Signal,
}

/// What the endpoint does with its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It reads and writes.
    Open,
    /// It neither reads nor says so: what comes is answered by a reset.
    Deaf,
    /// It has said FIN, and throws away what comes.
    HalfClosed,
    /// It has closed: what comes is answered by a reset.
    Closed,
    /// The proxy's end is closed, or the connection was reset.
    Over,
}

#[derive(Debug, Default)]
struct Acknowledged {
    bytes: u64,
    /// When the proxy's machine hears of how many more.
    coming: VecDeque<(Moment, u64)>,
}

impl Link {
    /// Carries between `stream`, whose other end is the proxy's, and the endpoint. `counted` is
    /// dropped once the proxy's end is closed.
    pub(crate) fn start(stream: Stream, length: Duration, counted: impl Sized + 'static) -> Rc<Self> {
        let link = Rc::new(Self {
            length,
            stream: RefCell::new(Some(Rc::new(stream))),
            phase: Cell::new(Phase::Open),
            arriving: RefCell::default(),
            leaving: RefCell::default(),
            acknowledged: RefCell::default(),
            news: Signal::default(),
        });
        let (inwards, outwards) = (link.clone(), link.clone());
        spawn(async move {
            inwards.carry_in().await;
            inwards.phase.set(Phase::Over);
            inwards.stream.take();
            inwards.news.raise();
            drop(counted);
        });
        spawn(async move {
            let over = || (outwards.phase.get() == Phase::Over).then_some(());
            unless(outwards.carry_out(), outwards.news.until(over)).await;
        });
        link
    }

    /// Bytes that the proxy's machine knows to be acknowledged.
    pub(crate) fn acknowledged(&self) -> u64 {
        let mut acknowledged = self.acknowledged.borrow_mut();
        while let Some(&(at, more)) = acknowledged.coming.front()
            && at <= now()
        {
            acknowledged.coming.pop_front();
            acknowledged.bytes += more;
        }
        acknowledged.bytes
    }

    pub(crate) const fn round_trip(&self) -> Duration {
        self.length.saturating_mul(2)
    }

    /// Reads what has come; nothing is the end.
    pub(crate) async fn read(&self) -> Vec<u8> {
        let over = || self.phase.get() == Phase::Over;
        let front = || self.arriving.borrow().front().map(|(at, _)| *at);
        let known = || front().or_else(|| over().then(now));
        let at = self.news.until(known).await;
        sleep_until(at).await;
        self.arriving
            .borrow_mut()
            .pop_front()
            .map(|(_, bytes)| bytes)
            .unwrap_or_default()
    }

    /// Sends `bytes`, if this end is open.
    pub(crate) fn write(&self, bytes: Vec<u8>) {
        if self.phase.get() == Phase::Open && !bytes.is_empty() {
            self.send(bytes);
        }
    }

    /// Closes this end: a FIN, and what comes later is answered by a reset.
    pub(crate) fn close(&self) {
        if self.phase.get() == Phase::Open {
            // What is still under way meets a machine that has closed: it is never acknowledged.
            let arrives = |heard: Moment| heard.since(Moment::default()).saturating_sub(self.length);
            let closed = now().since(Moment::default());
            let mut acknowledged = self.acknowledged.borrow_mut();
            acknowledged.coming.retain(|(at, _)| arrives(*at) <= closed);
        }
        self.end(Phase::Closed);
    }

    /// Closes this end's sending side, and throws away what comes later.
    pub(crate) fn half_close(&self) {
        self.end(Phase::HalfClosed);
    }

    /// From now on what comes is answered by a reset, without a FIN before it.
    pub(crate) fn reset_next(&self) {
        if self.phase.get() == Phase::Open {
            self.phase.set(Phase::Deaf);
        }
    }

    fn end(&self, phase: Phase) {
        if matches!(self.phase.get(), Phase::Open | Phase::Deaf) {
            self.phase.set(phase);
            self.send(Vec::new());
        }
    }

    fn send(&self, bytes: Vec<u8>) {
        self.leaving.borrow_mut().push_back((now() + self.length, bytes));
        self.news.raise();
    }

    async fn carry_in(&self) {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let Some(stream) = self.stream.borrow().clone() else {
                return;
            };
            stream.readable().await;
            if matches!(self.phase.get(), Phase::Deaf | Phase::Closed) {
                match stream.unread() {
                    Unread::Nothing => continue,
                    Unread::End => return,
                    // Closed with bytes unread, the socket resets its peer.
                    Unread::Bytes => {
                        within(self.round_trip(), stream.ended()).await;
                        return;
                    }
                }
            }
            match stream.read(&mut buffer).await {
                Ok(count) if count > 0 => self.has_come(&buffer[..count]),
                _ => {
                    self.arriving
                        .borrow_mut()
                        .push_back((now() + self.length, Vec::new()));
                    return;
                }
            }
        }
    }

    fn has_come(&self, bytes: &[u8]) {
        let there = now() + self.length;
        let heard = (there + self.length, bytes.len() as u64);
        self.acknowledged.borrow_mut().coming.push_back(heard);
        if self.phase.get() == Phase::Open {
            self.arriving.borrow_mut().push_back((there, bytes.to_vec()));
            self.news.raise();
        }
    }

    async fn carry_out(&self) {
        loop {
            let next = || self.leaving.borrow_mut().pop_front();
            let (at, bytes) = self.news.until(next).await;
            sleep_until(at).await;
            let Some(stream) = self.stream.borrow().clone() else {
                return;
            };
            if bytes.is_empty() {
                stream.finish();
            } else if stream.write_all(&bytes).await.is_err() {
                return;
            }
        }
    }
}
