//! Writing into room that was made before: what is written of a line has nothing to ask and
//! nothing to move, and each byte of a text is looked at and copied in one go.
//!
//! What is large is handed a writer by value and hands it back, so that it stays in registers.

use std::io::{self, Write};
use std::net::SocketAddr;

use wire::text::{octet, two_digits};

use super::texts::{Span, Texts};

/// Room beyond what is written: short things are written with bytes behind them that the next
/// thing takes the place of, which spares asking how short they are.
pub(super) const MARGIN: usize = STEP;

/// Texts are copied so many bytes at a time.
const STEP: usize = 16;

/// Room, and how to fill it.
#[derive(Debug)]
pub(super) struct LineWriter<'a> {
    room: &'a mut [u8],
}

impl<'a> LineWriter<'a> {
    /// Writes into `room`.
    pub(super) fn new(room: &'a mut [u8]) -> Self {
        Self { room }
    }

    /// How much room is left.
    pub(super) fn left(&self) -> usize {
        self.room.len()
    }

    /// Writes bytes as they are. Meant for constants, which are a few stores.
    #[inline(always)]
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.take(bytes.len()).copy_from_slice(bytes);
    }

    /// Writes a text of sealed ones as it is. What is behind it comes along, and the next thing
    /// takes its place.
    #[inline(always)]
    pub(super) fn text(&mut self, texts: &Texts, span: Span) {
        let mut from = texts.from(span);
        let mut left = span.length as usize;
        while left > STEP {
            let (step, rest) = from.split_at(STEP);
            self.put(step);
            (from, left) = (rest, left - STEP);
        }
        self.room[..STEP].copy_from_slice(&from[..STEP]);
        self.take(left);
    }

    /// Writes a number in decimal.
    #[inline(always)]
    pub(super) fn number(&mut self, number: u64) {
        match number {
            0..10 => self.put(&[b'0' + number as u8]),
            10..SHORT => self.short(number as u32),
            _ => self.lend(|writer| long(number, writer)),
        }
    }

    /// Writes an address and port as [`SocketAddr`] is displayed.
    #[inline(always)]
    pub(super) fn socket(&mut self, address: &SocketAddr) {
        self.lend(|writer| socket(address, writer));
    }

    /// Has something written by a function of its own.
    #[inline(always)]
    pub(super) fn lend(&mut self, write: impl FnOnce(Self) -> Self) {
        let room = std::mem::take(&mut self.room);
        *self = write(Self { room });
    }

    /// A number below 10,000: its leading zeros are shifted out.
    #[inline(always)]
    fn short(&mut self, number: u32) {
        let zeros = u32::from(number < 10) + u32::from(number < 100) + u32::from(number < 1000);
        let digits = u32::from_le_bytes(four_digits(number)) >> (8 * zeros);
        self.put_some(digits.to_le_bytes(), 4 - zeros as usize);
    }

    /// Writes the first `count` bytes of four.
    #[inline(always)]
    fn put_some(&mut self, bytes: [u8; 4], count: usize) {
        self.room[..4].copy_from_slice(&bytes);
        self.take(count);
    }

    #[inline(always)]
    fn take(&mut self, count: usize) -> &'a mut [u8] {
        let (taken, rest) = std::mem::take(&mut self.room).split_at_mut(count);
        self.room = rest;
        taken
    }
}

impl Write for LineWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Numbers below this are of four digits or fewer.
const SHORT: u64 = 10_000;

fn long(number: u64, mut writer: LineWriter<'_>) -> LineWriter<'_> {
    let upper = number / SHORT;
    if upper < SHORT {
        writer.short(upper as u32);
        writer.put(&four_digits((number % SHORT) as u32));
    } else {
        // There is room for it.
        drop(write!(writer, "{number}"));
    }
    writer
}

fn socket<'a>(address: &SocketAddr, mut writer: LineWriter<'a>) -> LineWriter<'a> {
    let SocketAddr::V4(v4) = address else {
        // There is room for it.
        drop(write!(writer, "{address}"));
        return writer;
    };
    let [a, b, c, d] = v4.ip().octets().map(octet);
    for (digits, count) in [a, b, c] {
        writer.put_some(digits, count);
    }
    writer.put_some(d.0, d.1 - 1);
    writer.put(b":");
    writer.number(u64::from(v4.port()));
    writer
}

#[inline(always)]
fn four_digits(number: u32) -> [u8; 4] {
    let [thousands, hundreds] = two_digits(u64::from(number / 100));
    let [tens, ones] = two_digits(u64::from(number % 100));
    [thousands, hundreds, tens, ones]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut LineWriter<'_>)) -> String {
        let mut room = [b'#'; 256];
        let mut writer = LineWriter::new(&mut room);
        write(&mut writer);
        let end = 256 - writer.left();
        String::from_utf8(room[..end].to_vec()).unwrap()
    }

    #[test]
    fn numbers_are_written_as_the_standard_library_writes_them() {
        let powers = (0..20).map(|power| 10_u64.pow(power));
        for number in (0..11_000).chain(powers.flat_map(|power| [power - 1, power, power + 1])) {
            assert_eq!(written(|writer| writer.number(number)), number.to_string());
        }
        assert_eq!(written(|writer| writer.number(u64::MAX)), u64::MAX.to_string());
    }

    #[test]
    fn a_text_is_written_whole_and_what_follows_it_comes_right_behind() {
        for len in 0..70 {
            let mut texts = Texts::default();
            let alphabet: String = ('a'..='z').cycle().take(len).collect();
            texts.keep(b"before", 70);
            let span = texts.keep(alphabet.as_bytes(), 70);
            texts.keep(b"behind", 70);
            texts.seal();
            let found = written(|writer| {
                writer.text(&texts, span);
                writer.put(b"|");
            });
            assert_eq!(found, alphabet + "|");
        }
    }

    proptest! {
        #[test]
        fn any_number_and_address_is_written_as_it_is_displayed(number: u64, address: SocketAddr) {
            prop_assert_eq!(written(|writer| writer.number(number)), number.to_string());
            prop_assert_eq!(written(|writer| writer.socket(&address)), address.to_string());
        }
    }
}
