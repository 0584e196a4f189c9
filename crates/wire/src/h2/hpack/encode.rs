//! Fields -> header blocks.

use super::static_table::STATIC;
use super::table::{Name, Table};
use super::{FIELD_OVERHEAD, TABLE_SIZE_DEFAULT, huffman, integer};

/// What the encoder puts into the dynamic table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Indexing {
    /// Nothing: it names entries of the static table, and writes all else as it is. Least work, and no memory.
    #[default]
    Static,
    /// Fields whose values tend to repeat on a connection. Fewer bytes, for up to twice
    /// [`TABLE_SIZE_DEFAULT`] of memory.
    Dynamic,
}

/// The sending end of a connection's header compression.
#[derive(Clone, Debug)]
pub struct Encoder {
    pub(super) table: Table,
    indexing: Indexing,
    /// The lowest size since the last block that the peer was not told of yet.
    lowest: Option<usize>,
}

impl Encoder {
    /// An encoder for a peer whose settings have not come yet.
    #[must_use]
    pub const fn new(indexing: Indexing) -> Self {
        Self {
            table: Table::new(TABLE_SIZE_DEFAULT as usize),
            indexing,
            lowest: None,
        }
    }

    /// The peer's `SETTINGS_HEADER_TABLE_SIZE`. Whatever it allows, no more than [`TABLE_SIZE_DEFAULT`] is used.
    pub fn on_peer_table_size(&mut self, size: u32) {
        let size = size.min(TABLE_SIZE_DEFAULT) as usize;
        if size != self.table.max() {
            self.lowest = Some(self.lowest.map_or(size, |lowest| lowest.min(size)));
            self.table.resize(size);
        }
    }

    /// Begins a block: says what the table's size is now, if it changed.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        if let Some(lowest) = self.lowest.take() {
            if lowest < self.table.max() {
                integer::encode(out, 0x20, 5, lowest);
            }
            integer::encode(out, 0x20, 5, self.table.max());
        }
    }

    /// Appends a field. Its name is written in lower case, as HTTP/2 wants it. Credentials are never put into a
    /// table, neither here nor by hops behind us, and nor is a field that is `never_indexed`.
    pub fn field(&mut self, out: &mut Vec<u8>, name: &[u8], value: &[u8], never_indexed: bool) {
        let mut lower = [0; NAME_MAX];
        let known = match lower.get_mut(..name.len()) {
            Some(lower) => {
                lower.copy_from_slice(name);
                lower.make_ascii_lowercase();
                static_index(lower)
            }
            None => 0,
        };
        if known > 0 && static_with_value(known, value).is_some_and(|index| indexed(out, index)) {
            return;
        }
        if never_indexed || is_credential(known) {
            return literal(out, 0x10, 4, known, name, value);
        }
        if self.indexing == Indexing::Static || !self.is_worth_an_entry(known, value) {
            return literal(out, 0, 4, known, name, value);
        }
        let known_name = STATIC[known - 1].0.as_bytes();
        let found = self
            .table
            .iter()
            .find(|&(_, name, text)| text == value && name == known_name);
        if let Some((age, ..)) = found {
            integer::encode(out, 0x80, 7, age + 1 + STATIC.len());
            return;
        }
        integer::encode(out, 0x40, 6, known);
        coded_string(out, value);
        self.table.insert(Name::Text(known_name), value);
    }

    /// Gives memory back that no entry needs.
    pub fn shrink(&mut self) {
        self.table.shrink();
    }

    /// Whether the field's value tends to repeat, and leaves room for others.
    fn is_worth_an_entry(&self, known: usize, value: &[u8]) -> bool {
        let repeats = known > 0 && REPEATING.contains(&STATIC[known - 1].0);
        repeats && 4 * (value.len() + FIELD_OVERHEAD) <= self.table.max()
    }
}

/// Appends an entry's index.
fn indexed(out: &mut Vec<u8>, index: usize) -> bool {
    integer::encode(out, 0x80, 7, index);
    true
}

/// Appends a field that enters no table.
fn literal(out: &mut Vec<u8>, form: u8, prefix: u32, known: usize, name: &[u8], value: &[u8]) {
    integer::encode(out, form, prefix, known);
    if known == 0 {
        integer::encode(out, 0, 7, name.len());
        let start = out.len();
        out.extend_from_slice(name);
        out[start..].make_ascii_lowercase();
    }
    integer::encode(out, 0, 7, value.len());
    out.extend_from_slice(value);
}

/// Appends a string in the shorter of its forms.
fn coded_string(out: &mut Vec<u8>, text: &[u8]) {
    let coded = huffman::encoded_len(text);
    if coded < text.len() {
        integer::encode(out, 0x80, 7, coded);
        huffman::encode(text, out);
    } else {
        integer::encode(out, 0, 7, text.len());
        out.extend_from_slice(text);
    }
}

/// The first entry of the static table with this name; 0 if there is none.
fn static_index(name: &[u8]) -> usize {
    let range = match name.len() {
        3..=27 => BY_LENGTH[name.len()],
        _ => return 0,
    };
    let candidates = &SORTED[usize::from(range.0)..usize::from(range.1)];
    candidates
        .iter()
        .map(|&index| usize::from(index))
        .find(|&index| STATIC[index - 1].0.as_bytes() == name)
        .unwrap_or(0)
}

/// The entry with this value among those that have the name of the entry `first`.
fn static_with_value(first: usize, value: &[u8]) -> Option<usize> {
    let name = STATIC[first - 1].0;
    let same = STATIC[first - 1..].iter().take_while(|entry| entry.0 == name);
    let at = same
        .enumerate()
        .find(|(_, entry)| !entry.1.is_empty() && entry.1.as_bytes() == value);
    at.map(|(at, _)| first + at)
}

/// Whether the entry's name is one whose values are secrets, and so short or so alike that who can add fields to
/// the same connection might guess them byte by byte (RFC 7541, 7.1).
fn is_credential(index: usize) -> bool {
    index > 0
        && matches!(
            STATIC[index - 1].0,
            "authorization" | "proxy-authorization" | "cookie" | "set-cookie"
        )
}

/// Names whose values tend to repeat on a connection.
const REPEATING: [&str; 17] = [
    ":authority",
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "access-control-allow-origin",
    "cache-control",
    "content-encoding",
    "content-language",
    "content-type",
    "host",
    "server",
    "strict-transport-security",
    "user-agent",
    "vary",
    "via",
];

/// The longest name of the static table is shorter.
const NAME_MAX: usize = 32;

/// The first entry of each name, sorted by the name's length.
static SORTED: [u8; NAMES] = by_length().0;
/// Where in `SORTED` the names of a length stand.
static BY_LENGTH: [(u8, u8); NAME_MAX] = by_length().1;
/// Names in the static table.
const NAMES: usize = 52;

const fn by_length() -> ([u8; NAMES], [(u8, u8); NAME_MAX]) {
    let (mut sorted, mut ranges) = ([0; NAMES], [(0, 0); NAME_MAX]);
    let (mut len, mut count) = (0, 0);
    while len < NAME_MAX {
        ranges[len].0 = count as u8;
        let mut at = 0;
        while at < STATIC.len() {
            if STATIC[at].0.len() == len && (at == 0 || !is_same(STATIC[at - 1].0, STATIC[at].0)) {
                sorted[count] = at as u8 + 1;
                count += 1;
            }
            at += 1;
        }
        ranges[len].1 = count as u8;
        len += 1;
    }
    assert!(count == NAMES, "every name is shorter than NAME_MAX");
    (sorted, ranges)
}

const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}
