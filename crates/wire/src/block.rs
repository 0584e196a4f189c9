//! Sixteen bytes looked at together, and where the first of them stands that is marked.

use std::ops::BitOr;

use wide::u8x16;

/// Sixteen bytes, or what a comparison marked among them.
#[derive(Clone, Copy)]
pub(crate) struct Block(u8x16);

impl Block {
    pub(crate) const BYTES: usize = 16;

    #[inline(always)]
    pub(crate) fn of(bytes: &[u8; Self::BYTES]) -> Self {
        Self(u8x16::new(*bytes))
    }

    /// The first bytes, with zeros behind them if they are less than sixteen.
    #[inline(always)]
    pub(crate) fn first_of(bytes: &[u8]) -> Self {
        match bytes.first_chunk() {
            Some(bytes) => Self::of(bytes),
            None => Self::padded(bytes),
        }
    }

    /// Less than sixteen bytes, with zeros behind them. No call of `memcpy`: its price is that of the rest.
    #[inline(always)]
    fn padded(bytes: &[u8]) -> Self {
        let len = bytes.len();
        // Begin and end overlap, and are the same where they do.
        let word = if let (Some(begin), Some(end)) = (bytes.first_chunk(), bytes.last_chunk()) {
            u128::from(u64::from_le_bytes(*begin)) | u128::from(u64::from_le_bytes(*end)) << (8 * (len - 8))
        } else if let (Some(begin), Some(end)) = (bytes.first_chunk(), bytes.last_chunk()) {
            let word = u64::from(u32::from_le_bytes(*begin))
                | u64::from(u32::from_le_bytes(*end)) << (8 * (len - 4));
            u128::from(word)
        } else {
            u128::from(
                bytes
                    .iter()
                    .rev()
                    .fold(0_u32, |word, &byte| word << 8 | u32::from(byte)),
            )
        };
        Self::of(&word.to_le_bytes())
    }

    /// Marks the bytes that are this one.
    #[inline(always)]
    pub(crate) fn equal(self, byte: u8) -> Self {
        Self(self.0.simd_eq(u8x16::splat(byte)))
    }

    /// Marks the bytes that are not below this one.
    #[inline(always)]
    pub(crate) fn at_least(self, least: u8) -> Self {
        Self(self.0.max(u8x16::splat(least)).simd_eq(self.0))
    }

    /// What is marked here and not there.
    #[inline(always)]
    pub(crate) fn but(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Marks the bytes that are not above this one.
    #[inline(always)]
    pub(crate) fn up_to(self, most: u8) -> Self {
        Self(self.0.min(u8x16::splat(most)).simd_eq(self.0))
    }

    /// The bytes, each less `by`, below which come the high ones.
    #[inline(always)]
    pub(crate) fn less(self, by: u8) -> Self {
        Self(self.0 - u8x16::splat(by))
    }

    /// The bytes, each with these bits set.
    #[inline(always)]
    pub(crate) fn with(self, bits: u8) -> Self {
        Self(self.0 | u8x16::splat(bits))
    }

    /// A bit for each marked byte, the first byte's lowest.
    #[inline(always)]
    pub(crate) fn bits(self) -> u32 {
        self.0.to_bitmask()
    }

    /// Where the first marked byte stands; 16 if there is none.
    #[inline(always)]
    pub(crate) fn first(self) -> usize {
        (self.bits() | 1 << Self::BYTES).trailing_zeros() as usize
    }
}

/// What either marks.
impl BitOr for Block {
    type Output = Self;

    #[inline(always)]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Where the first byte from `from` on stands that is marked, or the end.
#[inline(always)]
pub(crate) fn first_marked(bytes: &[u8], from: usize, marks: impl Fn(Block) -> Block) -> usize {
    let mut rest = &bytes[from..];
    while let Some((block, after)) = rest.split_first_chunk() {
        let marked = marks(Block::of(block)).bits();
        if marked != 0 {
            return bytes.len() - rest.len() + marked.trailing_zeros() as usize;
        }
        rest = after;
    }
    first_marked_in_rest(bytes, rest.len(), marks)
}

/// As [`first_marked`], of the last `left` bytes, which are less than a block; seldom needed.
#[inline(never)]
fn first_marked_in_rest(bytes: &[u8], left: usize, marks: impl Fn(Block) -> Block) -> usize {
    let from = bytes.len() - left;
    let marked = marks(Block::padded(&bytes[from..])).bits();
    from + (marked | 1 << left).trailing_zeros() as usize
}

/// Where the first marked byte stands, or the end; `None` if the first or the second byte of `pair` stands
/// right behind the first one before that. `behind`: whether a first one went before. Zeros must be marked.
#[inline(always)]
pub(crate) fn first_marked_without_pair(
    bytes: &[u8],
    [first, second]: [u8; 2],
    behind: bool,
    marks: impl Fn(Block) -> Block,
) -> Option<usize> {
    let (mut rest, mut behind) = (bytes, u32::from(behind));
    loop {
        let block = Block::first_of(rest);
        let firsts = block.equal(first).bits();
        let pairs = (block.equal(second).bits() | firsts) & (firsts << 1 | behind);
        let len = marks(block).first();
        if pairs & ((1 << len) - 1) != 0 {
            return None;
        }
        if len < Block::BYTES {
            return Some(bytes.len() - rest.len() + len);
        }
        behind = firsts >> (Block::BYTES - 1);
        rest = &rest[Block::BYTES..];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_block_of_few_bytes_has_all_of_them_and_zeros() {
        let bytes: Vec<u8> = (b'a'..=b'z').collect();
        for len in 0..=20 {
            let block = Block::first_of(&bytes[..len]);
            for (at, &byte) in bytes[..len.min(Block::BYTES)].iter().enumerate() {
                assert_eq!(block.equal(byte).bits(), 1 << at, "{at} of {len}");
            }
            assert_eq!(block.equal(0).first(), len.min(Block::BYTES));
        }
    }

    #[test]
    fn bytes_are_compared_without_a_sign() {
        for byte in 0..=255_u8 {
            let block = Block::of(&[byte; Block::BYTES]);
            let marks = |marked: bool| if marked { 0xffff } else { 0 };
            assert_eq!(block.at_least(0x90).bits(), marks(byte >= 0x90), "{byte:#x}");
            assert_eq!(block.up_to(0x1f).bits(), marks(byte <= 0x1f), "{byte:#x}");
            assert_eq!(
                block.less(0x21).equal(0xff).bits(),
                marks(byte == 0x20),
                "{byte:#x}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_pair_is_found_wherever_it_stands_before_the_first_marked_byte(
            text in "[ab]{0,17}(c|cd|cc|d|dc|e)?[abcde]{0,20}", behind: bool
        ) {
            let end = text.find('e').unwrap_or(text.len());
            let begin = text[..end].starts_with(['c', 'd']);
            let paired = text[..end].contains("cd") || text[..end].contains("cc") || (behind && begin);
            let marks = |block: Block| block.equal(b'e') | block.equal(0);
            let found = first_marked_without_pair(text.as_bytes(), *b"cd", behind, marks);
            prop_assert_eq!(found, (!paired).then_some(end));
        }
    }
}
