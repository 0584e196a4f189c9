//! HPACK, header compression for HTTP/2 (RFC 7541).
//!
//! The decoder bounds what it keeps by the table size that we announced, and what one block may cost by the
//! block's own length: a field that is named by index is not copied. How many fields, and how many bytes of them,
//! are taken is decided by whoever is handed them.

mod decode;
mod encode;
mod huffman;
mod huffman_code;
mod integer;
mod static_table;
mod table;

pub use decode::{Decoder, Field, Strings};
pub use encode::{Encoder, Indexing};

use crate::shown_by_its_sentence;

/// What each field counts besides its bytes, in tables and in a list's size (RFC 7541, 4.1; RFC 9113, 6.5.2).
pub const FIELD_OVERHEAD: usize = 32;

/// The table size that both ends begin with, in bytes (RFC 9113, 6.5.2).
pub const TABLE_SIZE_DEFAULT: u32 = 4096;

/// Why a header block could not be decoded. The connection ends, since its table is not known any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HpackError {
    /// The block ends inside a field.
    Truncated,
    /// An integer of more than 28 bits, or of more bytes than such a one needs.
    IntegerTooLarge,
    /// A string that is no Huffman code, or is padded wrongly (RFC 7541, 5.2).
    BadHuffman,
    /// An index that neither table has.
    BadIndex,
    /// A table size above what we announced.
    TableTooLarge,
    /// A table size that does not stand at the block's start, or is the third of its block (RFC 7541, 4.2).
    MisplacedTableSize,
}

impl HpackError {
    /// What a person is told.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Truncated => "A header block ends inside a field.",
            Self::IntegerTooLarge => "A header block has an integer that is larger than any we take.",
            Self::BadHuffman => "A header block has a string that is not a Huffman code.",
            Self::BadIndex => "A header block names an entry that no table has.",
            Self::TableTooLarge => "A header block sets a table size above the one we announced.",
            Self::MisplacedTableSize => "A header block sets the table size where or as often as it may not.",
        }
    }
}

shown_by_its_sentence!(HpackError);

#[cfg(test)]
mod tests;
