//! The texts of a record, one behind the other in one piece of memory that the worker's log lends.

/// Ends a text that was cut.
const CUT: &[u8] = b"...";

/// Bytes behind the last text that are never one's: what copies a text, or looks at all of them,
/// takes this many at a time.
const STRIDE: usize = 32;

/// Texts, and whether they can be written as they are.
#[derive(Debug, Default)]
pub(super) struct Texts {
    bytes: Vec<u8>,
    harmless: bool,
}

/// A text among them; empty is unknown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) length: u32,
}

impl Span {
    /// Whether nothing is known.
    pub(super) fn is_empty(self) -> bool {
        self.length == 0
    }
}

impl Texts {
    /// None yet, in memory that was used before.
    pub(super) fn new(memory: Vec<u8>) -> Self {
        Self {
            bytes: memory,
            harmless: false,
        }
    }

    /// The memory, to be used again.
    pub(super) fn into_memory(self) -> Vec<u8> {
        self.bytes
    }

    /// How many bytes they are at most.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Copies a text, cut to `most` bytes. What it replaces stays, which is no longer than the
    /// exchange.
    pub(super) fn keep(&mut self, text: &[u8], most: usize) -> Span {
        let start = self.bytes.len();
        if text.len() <= most {
            self.bytes.extend_from_slice(text);
        } else {
            self.bytes.extend_from_slice(&text[..most - CUT.len()]);
            self.bytes.extend_from_slice(CUT);
        }
        let of = |position: usize| u32::try_from(position).unwrap_or(u32::MAX);
        Span {
            start: of(start),
            length: of(self.bytes.len() - start),
        }
    }

    /// There are no more: looks at all of them, once.
    pub(super) fn seal(&mut self) {
        const { assert!(is_harmless(b'-')) };
        let whole = self.bytes.len().next_multiple_of(STRIDE) + STRIDE;
        self.bytes.resize(whole, b'-');
        let (strides, _) = self.bytes.as_chunks::<STRIDE>();
        let harm = |harm: bool, &byte: &u8| harm | !is_harmless(byte);
        self.harmless = !strides.as_flattened().iter().fold(false, harm);
    }

    /// Whether every byte of every text is harmless; known once they are sealed.
    pub(super) fn harmless(&self) -> bool {
        self.harmless
    }

    /// A text.
    pub(super) fn get(&self, span: Span) -> &[u8] {
        let start = span.start as usize;
        self.bytes
            .get(start..start + span.length as usize)
            .unwrap_or_default()
    }

    /// A text and what is behind it, which is some bytes more once they are sealed.
    #[inline(always)]
    pub(super) fn from(&self, span: Span) -> &[u8] {
        &self.bytes[span.start as usize..]
    }
}

/// Printable ASCII that can neither end a field nor pass for an escape.
#[inline]
pub(super) const fn is_harmless(byte: u8) -> bool {
    (byte.wrapping_sub(b' ') < 0x7f - b' ') & (byte != b'"') & (byte != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_harmful_byte_is_seen_wherever_it_stands() {
        for len in 0..100 {
            let mut text = vec![b'x'; len];
            let sealed = |text: &[u8]| {
                let mut texts = Texts::default();
                texts.keep(text, 100);
                texts.seal();
                texts.harmless()
            };
            assert!(sealed(&text), "{len}");
            for at in 0..len {
                text[at] = b'"';
                assert!(!sealed(&text), "{at} of {len}");
                text[at] = b'x';
            }
        }
    }

    #[test]
    fn there_is_always_more_behind_a_sealed_text() {
        for len in 0..100 {
            let mut texts = Texts::default();
            let span = texts.keep(&vec![b'x'; len], 100);
            texts.seal();
            assert!(texts.from(span).len() >= len + 16, "{len}");
            assert_eq!(texts.get(span).len(), len);
        }
    }
}
