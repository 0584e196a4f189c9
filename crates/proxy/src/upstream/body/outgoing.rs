//! An encoded request: in a buffer of its own, or in the one that its body was received in.

use crate::transport::buffer::ReadBuffer;

/// The largest buffer that is kept for the next request.
const KEPT_MAX: usize = 16 * 1024;

/// The bytes of a request, as its endpoint gets them.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// They are here …
    own: Vec<u8>,
    /// … unless they are here.
    received: ReadBuffer,
}

impl From<Vec<u8>> for Outgoing {
    fn from(own: Vec<u8>) -> Self {
        Self {
            own,
            received: ReadBuffer::default(),
        }
    }
}

impl Outgoing {
    pub(super) fn bytes(&self) -> &[u8] {
        match self.received.is_empty() {
            true => &self.own,
            false => self.received.data(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes().len()
    }

    /// Takes the body that is in `input`, by putting what there is so far before it; false if there is no room.
    pub(super) fn reuse_receive_buffer(&mut self, input: &mut ReadBuffer) -> bool {
        let there = self.received.is_empty() && input.put_before(&self.own);
        if there {
            self.received = std::mem::take(input);
            self.own.clear();
        }
        there
    }

    /// The bytes, to be changed.
    pub(super) fn own(&mut self) -> &mut Vec<u8> {
        if !self.received.is_empty() {
            self.own.extend_from_slice(self.received.data());
            self.received = ReadBuffer::default();
        }
        &mut self.own
    }

    /// Gives the buffer back, unless it has grown for a large body: then its memory goes to whoever needs it.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        if self.own.capacity() > KEPT_MAX {
            return Vec::new();
        }
        self.own
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::buffer::READ_SIZE;

    fn received(bytes: &[u8]) -> ReadBuffer {
        let mut input = ReadBuffer::default();
        input.space(READ_SIZE)[..bytes.len()].copy_from_slice(bytes);
        input.filled(bytes.len());
        input
    }

    #[test]
    fn a_body_stays_where_it_is_and_can_still_be_changed() {
        let mut outgoing = Outgoing::from(b"head, ".to_vec());
        let mut input = received(b"body");
        let address = input.data().as_ptr();
        assert!(outgoing.reuse_receive_buffer(&mut input));
        assert_eq!(outgoing.bytes(), b"head, body");
        assert_eq!(outgoing.bytes()[6..].as_ptr(), address);
        assert!(input.is_empty());
        outgoing.own().extend_from_slice(b", more");
        assert_eq!(outgoing.bytes(), b"head, body, more");
        assert_eq!(outgoing.into_buffer(), b"head, body, more");
    }

    #[test]
    fn a_head_that_is_too_long_for_it_leaves_all_as_it_was() {
        let head = vec![b'h'; READ_SIZE];
        let mut outgoing = Outgoing::from(head.clone());
        let mut input = received(b"body");
        assert!(!outgoing.reuse_receive_buffer(&mut input));
        assert_eq!((outgoing.bytes(), input.data()), (&head[..], &b"body"[..]));
    }
}
