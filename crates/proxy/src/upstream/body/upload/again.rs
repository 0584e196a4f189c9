//! A request that is sent more than once: in a second copy beside the first, or with another word in
//! its head.

use std::ops::Range;

use policy::time::Moment;

use super::{BodyDecoder, BodyLength, Fields, Limits, ReadBuffer, Upload};

impl Upload {
    /// A second copy of a request that is here whole and complete, of which nothing is sent yet.
    /// `input` is what was received behind its head.
    pub(crate) fn replay_clone(
        &mut self,
        input: &mut ReadBuffer,
        limits: &Limits,
        now: Moment,
    ) -> Option<Self> {
        // What is malformed is met again, and told, when it is sent.
        self.take_in(input, limits, || now).ok()?;
        let outgoing = self.complete()?.to_vec();
        Some(Self {
            decoder: BodyDecoder::new(BodyLength::None),
            outgoing: outgoing.into(),
            sent: 0,
            trailers: Fields::default(),
            pause: None,
            copy: None,
            ..*self
        })
    }

    /// The encoded head, while the copy is whole.
    pub(crate) fn head(&self) -> &[u8] {
        self.outgoing.bytes().get(..self.head_len).unwrap_or_default()
    }

    /// Puts other bytes in the place of some of the head.
    ///
    /// # Panics
    /// If a byte has been sent since the last rewinding: the endpoint would get a mixture.
    pub(crate) fn replace_in_head(&mut self, place: Range<usize>, bytes: &[u8]) {
        assert!(self.whole && self.sent == 0, "a head is edited before it is sent");
        self.head_len = self.head_len - place.len() + bytes.len();
        self.copy_max = self.copy_max - place.len() + bytes.len();
        self.outgoing.own().splice(place, bytes.iter().copied());
    }
}
