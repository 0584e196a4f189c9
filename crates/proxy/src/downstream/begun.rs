//! Heads that have begun and are not whole: each waits with its connection, in as much memory as its bytes take, and
//! all of them together in no more than the operator allows.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use policy::time::Moment;
use wire::h1::head::{Limits, RequestHead, Scan};

use super::clients::Clients;
use super::overflow::Refusals;
use crate::transport::buffer::ReadBuffer;

/// A head up to this is parsed again whenever more of it comes: what is malformed is refused at once. A longer one is
/// parsed once it has grown by a quarter, so that one which comes byte by byte costs no more than five of its length.
const PARSED_ALWAYS: usize = 1024;

/// What a head costs besides its bytes: its own record, and the allocator's.
const BESIDES: usize = 128;

/// A head that has begun and is not whole.
#[derive(Debug)]
pub(super) struct BegunHead {
    bytes: Vec<u8>,
    /// When the first of them was read.
    pub(super) heard: Moment,
    /// How long it was when it was parsed last.
    parsed: usize,
    /// It has to make room for others.
    pub(super) shed: bool,
    /// What is counted of it, and where.
    counted: usize,
    held: Rc<Cell<usize>>,
}

/// The memory of a worker's unfinished heads.
#[derive(Debug)]
pub(crate) struct BegunHeads {
    held: Rc<Cell<usize>>,
    /// So many bytes of it are allowed.
    most: usize,
    /// When each began, and its connection's slot, in order; of those that are whole by now, too.
    order: RefCell<VecDeque<(Moment, u32)>>,
    /// When it was last said that some were shed.
    shed: RefCell<Refusals>,
}

impl BegunHeads {
    /// None yet, and at most so many bytes of them.
    pub(super) fn up_to(most: usize) -> Self {
        Self {
            held: Rc::default(),
            most,
            order: RefCell::default(),
            shed: RefCell::default(),
        }
    }

    /// A head begins, at `heard`.
    pub(super) fn begin(&self, bytes: &[u8], heard: Moment) -> BegunHead {
        let mut head = BegunHead {
            bytes: bytes.to_vec(),
            heard,
            parsed: bytes.len(),
            shed: false,
            counted: 0,
            held: self.held.clone(),
        };
        head.count();
        head
    }

    /// Its connection waits in this slot.
    pub(super) fn waits_at(&self, heard: Moment, slot: u32, is_waiting: impl Fn(Moment, u32) -> bool) {
        let mut order = self.order.borrow_mut();
        // Those that are whole by now are forgotten once they could be most of them.
        if order.len() >= 64 && order.len() > 2 * (self.held.get() / BESIDES) {
            order.retain(|&(heard, slot)| is_waiting(heard, slot));
        }
        order.push_back((heard, slot));
    }

    /// Whether there are more than are allowed.
    pub(super) fn is_full(&self) -> bool {
        self.held.get() > self.most
    }

    /// When the oldest began, and its slot; it may be whole by now.
    pub(super) fn take_oldest(&self) -> Option<(Moment, u32)> {
        self.order.borrow_mut().pop_front()
    }

    /// One was shed: counts it, and says so once in a while.
    pub(super) fn note_shed(&self, clients: &Clients) {
        clients.worker.stats.cx_head_overflow.inc();
        if let Some(count) = self.shed.borrow_mut().count(clients.worker.clock.now()) {
            tracing::warn!(
                "clients {} answered {count} clients with 408, whose request heads were unfinished and the oldest: all \
                 unfinished heads take more than its share of --unfinished-heads-max, {} bytes. Raise that, or shorten \
                 `timeout.http.requestHeadersReceivedTimeout` of the ClientTrafficPolicy so that such clients leave sooner",
                clients.worker.id.0,
                self.most
            );
        }
    }
}

impl BegunHead {
    /// More has come. Whether the head waits on: it may be whole or malformed otherwise, or too long.
    pub(super) fn goes_on(&mut self, more: &[u8], parser: &mut RequestHead, limits: &Limits) -> bool {
        let before = self.bytes.len();
        self.bytes.reserve_exact(more.len().max(before / 4));
        self.bytes.extend_from_slice(more);
        self.count();
        let length = self.bytes.len();
        if length >= limits.head_bytes || ends(&self.bytes[before.saturating_sub(3)..]) {
            return false;
        }
        if length > PARSED_ALWAYS && length < self.parsed + self.parsed / 4 {
            return true;
        }
        self.parsed = length;
        is_unfinished(&self.bytes, parser, limits)
    }

    /// Puts it into an empty buffer, to be read as a request.
    pub(super) fn put_into(&self, input: &mut ReadBuffer) {
        input.append(&self.bytes);
    }

    /// It makes room for others, and is answered that it did.
    pub(super) fn make_room(&mut self) {
        self.shed = true;
        self.held.set(self.held.get() - self.counted);
        self.counted = 0;
    }

    fn count(&mut self) {
        let cost = self.bytes.capacity() + BESIDES;
        self.held.set(self.held.get() + cost - self.counted);
        self.counted = cost;
    }
}

impl Drop for BegunHead {
    fn drop(&mut self) {
        self.held.set(self.held.get() - self.counted);
    }
}

/// Whether these bytes are a head's beginning, well formed as far as it has come.
pub(super) fn is_unfinished(bytes: &[u8], parser: &mut RequestHead, limits: &Limits) -> bool {
    matches!(parser.read(bytes, &mut Scan::default(), limits), Ok(None))
}

/// Whether a head may end in these bytes. Lines that end with a line feed alone are malformed, which is to be said.
fn ends(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|two| two == b"\n\n") || bytes.windows(3).any(|three| three == b"\n\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n";

    fn limits() -> Limits {
        Limits::default()
    }

    #[test]
    fn a_head_waits_until_it_is_whole_however_it_comes() {
        let heads = BegunHeads::up_to(1 << 20);
        let mut parser = RequestHead::default();
        let field = format!("x: {}\r\n", "y".repeat(5000));
        let whole = [HEAD, field.as_bytes(), b"\r\n"].concat();
        for step in [1, 7, 3000] {
            let mut head = heads.begin(b"", Moment::default());
            let mut came = 0;
            for piece in whole.chunks(step) {
                came += piece.len();
                let waits = head.goes_on(piece, &mut parser, &limits());
                assert_eq!(waits, came < whole.len(), "{came} in steps of {step}");
            }
            let mut input = ReadBuffer::default();
            head.put_into(&mut input);
            assert_eq!(input.data(), whole);
            assert!(heads.held.get() < whole.len() * 5 / 4 + BESIDES + 8);
        }
        assert_eq!(heads.held.get(), 0, "all of it is given back");
    }

    #[test]
    fn what_is_malformed_or_too_long_does_not_wait() {
        let heads = BegunHeads::up_to(1 << 20);
        let mut parser = RequestHead::default();
        let mut waits = |bytes: &[u8]| {
            let mut head = heads.begin(HEAD, Moment::default());
            head.goes_on(bytes, &mut parser, &limits())
        };
        assert!(waits(b"x: y"));
        assert!(!waits(b"x y: z\r\n"));
        assert!(!waits(b"\n"));
        assert!(!waits(&vec![b'x'; limits().head_bytes]));
    }

    #[test]
    fn the_oldest_goes_first_and_the_list_forgets_those_that_are_whole() {
        let heads = BegunHeads::up_to(1000);
        let at = Moment::from_millis;
        let first = heads.begin(&[b'a'; 600], at(1));
        heads.waits_at(at(1), 7, |_, _| true);
        assert!(!heads.is_full());
        let _second = heads.begin(&[b'a'; 300], at(2));
        heads.waits_at(at(2), 8, |_, _| true);
        assert!(heads.is_full());
        assert_eq!(heads.take_oldest(), Some((at(1), 7)));
        drop(first);
        assert!(!heads.is_full());
        for slot in 0..1000 {
            heads.waits_at(at(3), slot, |_, slot| slot == 8);
        }
        assert!(heads.order.borrow().len() <= 65);
        assert_eq!(heads.take_oldest(), Some((at(2), 8)));
    }
}
