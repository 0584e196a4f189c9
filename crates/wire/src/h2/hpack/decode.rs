//! Header blocks -> fields.

use super::static_table::STATIC;
use super::table::{Name, Table};
use super::{HpackError, huffman, integer};

/// One field of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Any bytes.
    pub name: &'a [u8],
    /// Any bytes.
    pub value: &'a [u8],
    /// Whether no hop may put it into a table (RFC 7541, 6.2.3).
    pub never_indexed: bool,
}

/// Memory for strings that are decoded, for one thread to lend to all its decoders.
#[derive(Clone, Debug, Default)]
pub struct Strings {
    name: Vec<u8>,
    value: Vec<u8>,
}

/// The receiving end of a connection's header compression.
#[derive(Clone, Debug)]
pub struct Decoder {
    pub(super) table: Table,
    /// The largest table that the peer may ask for, in bytes.
    announced: usize,
}

impl Decoder {
    /// A decoder for a peer that knows of no setting yet: the table may have up to
    /// [`TABLE_SIZE_DEFAULT`](super::TABLE_SIZE_DEFAULT) bytes.
    #[must_use]
    pub const fn new() -> Self {
        let default = super::TABLE_SIZE_DEFAULT as usize;
        Self {
            table: Table::new(default),
            announced: default,
        }
    }

    /// The peer has acknowledged our `SETTINGS_HEADER_TABLE_SIZE`.
    pub fn on_announced(&mut self, size: u32) {
        self.announced = size as usize;
        if self.table.max() > self.announced {
            self.table.resize(self.announced);
        }
    }

    /// Decodes a whole block, and hands each field to `take`. Fields that come before an error are handed, too.
    ///
    /// # Errors
    /// See [`HpackError`]; the decoder must not be used any more.
    pub fn decode(
        &mut self,
        block: &[u8],
        strings: &mut Strings,
        mut take: impl FnMut(Field<'_>),
    ) -> Result<(), HpackError> {
        let mut rest = block;
        let mut resized = 0;
        while let Some(&first) = rest.first() {
            if first & 0xe0 != 0x20 {
                break;
            }
            resized += 1;
            let (size, len) = integer::decode(rest, 5)?;
            if resized > TABLE_SIZES_MAX {
                return Err(HpackError::MisplacedTableSize);
            }
            if size > self.announced {
                return Err(HpackError::TableTooLarge);
            }
            self.table.resize(size);
            rest = &rest[len..];
        }
        while !rest.is_empty() {
            rest = self.field(rest, strings, &mut take)?;
        }
        Ok(())
    }

    /// Gives memory back that no entry needs.
    pub fn shrink(&mut self) {
        self.table.shrink();
    }

    /// Decodes the first field, and returns what follows it.
    fn field<'b>(
        &mut self,
        input: &'b [u8],
        strings: &mut Strings,
        take: &mut impl FnMut(Field<'_>),
    ) -> Result<&'b [u8], HpackError> {
        let first = input[0];
        if first & 0x80 != 0 {
            let (index, len) = integer::decode(input, 7)?;
            let (name, value) = self.entry(index)?;
            take(Field {
                name,
                value,
                never_indexed: false,
            });
            return Ok(&input[len..]);
        }
        let (prefix, indexed, never_indexed) = match first >> 4 {
            4..8 => (6, true, false),
            2 | 3 => return Err(HpackError::MisplacedTableSize),
            1 => (4, false, true),
            _ => (4, false, false),
        };
        let (index, len) = integer::decode(input, prefix)?;
        let mut rest = &input[len..];
        let mut literal = None;
        if index == 0 {
            let (name, len) = string(rest, &mut strings.name)?;
            literal = Some(name);
            rest = &rest[len..];
        }
        let (value, len) = string(rest, &mut strings.value)?;
        rest = &rest[len..];
        let name = match literal {
            Some(name) => name,
            None => self.entry(index)?.0,
        };
        take(Field {
            name,
            value,
            never_indexed,
        });
        if indexed {
            let name = match literal {
                Some(name) => Name::Text(name),
                None => match STATIC.get(index - 1) {
                    Some((name, _)) => Name::Text(name.as_bytes()),
                    None => Name::Of(index - 1 - STATIC.len()),
                },
            };
            self.table.insert(name, value);
        }
        Ok(rest)
    }

    /// The entry of an index, which is not 0.
    fn entry(&self, index: usize) -> Result<(&[u8], &[u8]), HpackError> {
        let at = index.checked_sub(1).ok_or(HpackError::BadIndex)?;
        match STATIC.get(at) {
            Some((name, value)) => Ok((name.as_bytes(), value.as_bytes())),
            None => self.table.get(at - STATIC.len()).ok_or(HpackError::BadIndex),
        }
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

/// The string at the start of `input`, which lies there or in `decoded`, and how many bytes it takes there.
fn string<'a>(input: &'a [u8], decoded: &'a mut Vec<u8>) -> Result<(&'a [u8], usize), HpackError> {
    let (len, head) = integer::decode(input, 7)?;
    let text = input.get(head..head + len).ok_or(HpackError::Truncated)?;
    if input[0] & 0x80 == 0 {
        return Ok((text, head + len));
    }
    decoded.clear();
    huffman::decode(text, decoded)?;
    Ok((decoded, head + len))
}

/// One for the lowest size since the last block, and one for the size now (RFC 7541, 4.2).
const TABLE_SIZES_MAX: u32 = 2;
