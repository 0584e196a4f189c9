//! Read buffers, lent by the worker and given back while a connection is idle.

use std::cell::RefCell;

/// What one read takes at most, and so what a body in flight costs per direction.
pub(crate) const READ_SIZE: usize = 32 * 1024;

/// What one read takes where bytes only pass through.
pub(crate) const SMALL_READ_SIZE: usize = 14 * 1024;

/// Left free before what is read, so that another head can be put before a body in place of its own.
pub(crate) const HEADROOM: usize = 1024;

/// Buffers kept for the next use; beyond this they go back to the allocator.
const KEPT: usize = 256;

thread_local! {
    /// For reading. All are initialised once, so reads need no zeroing.
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    /// The same for small reads.
    static SMALL: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    /// For what is to be written: empty, of whatever capacity they have grown to.
    static OUTGOING: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Bytes received and not yet consumed. Holds no memory while empty and released.
#[derive(Debug, Default)]
pub(crate) struct ReadBuffer {
    store: Vec<u8>,
    start: usize,
    end: usize,
}

/// An empty buffer for what is to be written.
pub(crate) fn outgoing() -> Vec<u8> {
    OUTGOING.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Takes a buffer for what was written back.
pub(crate) fn give_outgoing(mut written: Vec<u8>) {
    OUTGOING.with_borrow_mut(|spare| {
        if (1..=READ_SIZE).contains(&written.capacity()) && spare.len() < KEPT {
            written.clear();
            spare.push(written);
        }
    });
}

/// A buffer for reads of up to `most` bytes, to begin with.
fn take(most: usize) -> Vec<u8> {
    let (spare, size) = match most <= SMALL_READ_SIZE {
        true => (&SMALL, SMALL_READ_SIZE),
        false => (&SPARE, READ_SIZE),
    };
    spare
        .with_borrow_mut(Vec::pop)
        .unwrap_or_else(|| vec![0; HEADROOM + size])
}

fn give(store: Vec<u8>) {
    // A thread that ends has no spare ones any more.
    let spare = match store.len().checked_sub(HEADROOM) {
        Some(READ_SIZE) => &SPARE,
        Some(SMALL_READ_SIZE) => &SMALL,
        _ => return,
    };
    let _ = spare.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < KEPT {
            spare.push(store);
        }
    });
}

impl ReadBuffer {
    /// What was received and not consumed.
    pub(crate) fn data(&self) -> &[u8] {
        &self.store[self.start..self.end]
    }

    /// Whether there is nothing to consume.
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Takes the first `count` bytes away.
    pub(crate) fn consume(&mut self, count: usize) {
        assert!(count <= self.end - self.start, "consumed more than was received");
        self.start += count;
        if self.start == self.end && !self.store.is_empty() {
            (self.start, self.end) = (HEADROOM, HEADROOM);
        }
    }

    /// Room for a read; at least one byte unless `most` bytes are held already.
    pub(crate) fn space(&mut self, most: usize) -> &mut [u8] {
        if self.is_empty() && self.store.len() > HEADROOM + READ_SIZE.min(most) {
            self.release();
        }
        if self.store.is_empty() {
            self.store = take(most);
            (self.start, self.end) = (HEADROOM, HEADROOM);
        }
        if self.start > HEADROOM && self.end == self.store.len() {
            self.store.copy_within(self.start..self.end, HEADROOM);
            (self.start, self.end) = (HEADROOM, HEADROOM + self.end - self.start);
        }
        if self.end == self.store.len() && self.store.len() < HEADROOM + most {
            let grown = (self.store.len() * 2).min(HEADROOM + most);
            self.store.resize(grown, 0);
        }
        &mut self.store[self.end..]
    }

    /// `count` bytes were read into [`ReadBuffer::space`].
    pub(crate) fn filled(&mut self, count: usize) {
        self.end += count;
        assert!(self.end <= self.store.len(), "read more than there was room");
    }

    /// Puts `bytes` behind what is held, which may be nothing, in as much memory as they take.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        if self.store.is_empty() {
            self.space(READ_SIZE);
        }
        let end = self.end + bytes.len();
        if self.store.len() < end {
            self.store.resize(end, 0);
        }
        self.store[self.end..end].copy_from_slice(bytes);
        self.end = end;
    }

    /// Puts `bytes` before what is held; false if there is no room for them.
    pub(crate) fn put_before(&mut self, bytes: &[u8]) -> bool {
        let Some(start) = self.start.checked_sub(bytes.len()) else {
            return false;
        };
        self.store[start..self.start].copy_from_slice(bytes);
        self.start = start;
        true
    }

    /// Gives the memory back if nothing is held.
    pub(crate) fn release(&mut self) {
        if self.is_empty() && !self.store.is_empty() {
            give(std::mem::take(&mut self.store));
            (self.start, self.end) = (0, 0);
        }
    }
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        if !self.store.is_empty() {
            give(std::mem::take(&mut self.store));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_filled_is_held_until_consumed() {
        let mut buffer = ReadBuffer::default();
        buffer.space(READ_SIZE)[..5].copy_from_slice(b"hello");
        buffer.filled(5);
        buffer.consume(2);
        assert_eq!(buffer.data(), b"llo");
        buffer.release();
        assert_eq!(
            buffer.data(),
            b"llo",
            "a buffer that holds bytes is not given back"
        );
    }

    #[test]
    fn a_full_buffer_moves_its_rest_forward_and_then_grows_to_the_limit() {
        let mut buffer = ReadBuffer::default();
        let room = buffer.space(READ_SIZE * 2).len();
        buffer.filled(room);
        buffer.consume(10);
        assert_eq!(buffer.space(READ_SIZE * 2).len(), 10);
        buffer.filled(10);
        assert_eq!(buffer.space(READ_SIZE * 2).len(), READ_SIZE);
        buffer.filled(READ_SIZE);
        assert!(buffer.space(READ_SIZE * 2).is_empty());
    }

    #[test]
    fn nothing_may_be_consumed_of_a_buffer_without_memory() {
        let mut buffer = ReadBuffer::default();
        buffer.consume(0);
        assert_eq!(buffer.data(), b"");
    }

    #[test]
    fn another_head_is_put_before_a_body_in_place_of_its_own() {
        let mut buffer = ReadBuffer::default();
        buffer.space(READ_SIZE)[..8].copy_from_slice(b"headbody");
        buffer.filled(8);
        buffer.consume(4);
        assert!(buffer.put_before(b"longer head, "));
        assert_eq!(buffer.data(), b"longer head, body");
        assert!(!buffer.put_before(&[b' '; HEADROOM]), "that is too long");
        assert_eq!(buffer.data(), b"longer head, body");
        assert!(!ReadBuffer::default().put_before(b"no memory, no room"));
    }

    #[test]
    fn bytes_are_appended_however_many() {
        let mut buffer = ReadBuffer::default();
        buffer.append(b"some, ");
        let many = vec![b'x'; 3 * READ_SIZE];
        buffer.append(&many);
        assert_eq!(buffer.data(), [b"some, ".as_slice(), &many].concat());
    }

    #[test]
    fn memory_goes_back_to_the_worker() {
        let mut buffer = ReadBuffer::default();
        buffer.space(READ_SIZE);
        let address = buffer.store.as_ptr();
        buffer.release();
        let again = take(READ_SIZE);
        assert_eq!(again.as_ptr(), address);
    }
}
