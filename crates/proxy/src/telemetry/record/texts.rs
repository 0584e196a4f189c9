//! The texts of a record, one behind the other in one piece of memory that the worker's log lends.

/// Ends a text that was cut.
const CUT: &[u8] = b"...";

/// Bytes behind the last text that are never one's: what copies a text, or looks at all of them,
/// takes this many at a time.
const STRIDE: usize = 32;

/// Texts.
#[derive(Debug, Default)]
pub(super) struct Texts(Vec<u8>);

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
        Self(memory)
    }

    /// The memory, to be used again.
    pub(super) fn into_memory(self) -> Vec<u8> {
        self.0
    }

    /// How many bytes they are at most.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Copies a text, cut to `most` bytes. What it replaces stays, which is no longer than the
    /// exchange.
    pub(super) fn keep(&mut self, text: &[u8], most: usize) -> Span {
        let start = self.0.len();
        if text.len() > most {
            self.keep_cut(text, most);
        } else {
            self.0.extend_from_slice(text);
        }
        // Limits keep a record's texts far below 4 GiB.
        Span {
            start: start as u32,
            length: (self.0.len() - start) as u32,
        }
    }

    #[cold]
    fn keep_cut(&mut self, text: &[u8], most: usize) {
        self.0.extend_from_slice(&text[..most - CUT.len()]);
        self.0.extend_from_slice(CUT);
    }

    /// There are no more: whether every byte of every text is harmless, found by one look at all.
    pub(super) fn seal(&mut self) -> bool {
        const { assert!(is_harmless(b'-')) };
        let whole = self.0.len().next_multiple_of(STRIDE) + STRIDE;
        self.0.resize(whole, b'-');
        let (strides, _) = self.0.as_chunks::<STRIDE>();
        let harm = |harm: bool, &byte: &u8| harm | !is_harmless(byte);
        !strides.as_flattened().iter().fold(false, harm)
    }

    /// A text.
    pub(super) fn get(&self, span: Span) -> &[u8] {
        let start = span.start as usize;
        self.0
            .get(start..start + span.length as usize)
            .unwrap_or_default()
    }

    /// A text and what is behind it, which is some bytes more once they are sealed.
    #[inline(always)]
    pub(super) fn from(&self, span: Span) -> &[u8] {
        &self.0[span.start as usize..]
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
                texts.seal()
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
