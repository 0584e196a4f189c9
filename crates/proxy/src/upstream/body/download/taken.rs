//! How many bytes of a response's body its client's connection has taken, exactly, wherever it stops.

use wire::field::Fields;
use wire::h1::decode::{BodyDecoder, Boundary, Part};
use wire::h1::framing::BodyLength;
use wire::h1::head::Limits;

/// Counts what the client's connection takes: the head, and then the body as it is framed for the client.
///
/// What goes out whole is not looked at. Where a write stops in the middle, its bytes are read by a decoder.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Bytes of the body that were taken.
    data: u64,
    /// Bytes of the head that are still to be taken.
    head: usize,
    /// How the body is framed for the client.
    length: BodyLength,
    /// Where the body stood when all that was there had been taken.
    whole: Boundary,
    /// Reads what is taken after that.
    reader: Option<Box<BodyDecoder>>,
}

impl Taken {
    /// Nothing of a response was taken, whose body goes to the client like this, behind a head of so many bytes.
    pub(crate) fn nothing(length: BodyLength, head: usize) -> Self {
        Self {
            data: 0,
            head,
            length,
            whole: Boundary::beginning(length),
            reader: None,
        }
    }

    /// Bytes of the body that were taken.
    pub(crate) fn data(&self) -> u64 {
        self.data
    }

    /// These bytes were taken, and others wait.
    pub(crate) fn part(&mut self, bytes: &[u8]) {
        let of_head = bytes.len().min(self.head);
        self.head -= of_head;
        let mut bytes = &bytes[of_head..];
        if self.length != BodyLength::Chunked {
            self.data += bytes.len() as u64;
            return;
        }
        let whole = self.whole;
        let reader = self
            .reader
            .get_or_insert_with(|| Box::new(BodyDecoder::from_boundary(whole)));
        let (limits, mut trailers) = (Limits::default(), Fields::default());
        // What we framed is well formed; a trailer section that is not, to this reader, is no data.
        while let Ok(step) = reader.decode(bytes, &limits, &mut trailers) {
            let Part::Data(range) = step.part else { return };
            self.data += range.len() as u64;
            bytes = &bytes[step.consumed..];
        }
    }

    /// All that was there has been taken, `data` bytes of the body so far; it goes on from `whole`.
    pub(crate) fn all(&mut self, data: u64, whole: Boundary) {
        (self.data, self.whole, self.head) = (data, whole, 0);
        self.reader = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wherever_a_write_stops_its_data_is_counted() {
        let head = b"HTTP/1.1 200 OK\r\n\r\n";
        let body = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
        let sent = [head.as_slice(), body].concat();
        let is_data = |at: usize| sent[at].is_ascii_lowercase() || sent[at] == b' ';
        for stop in 0..=sent.len() {
            let expected = (head.len()..stop).filter(|&at| is_data(at)).count() as u64;
            for step in [1, 3, 100] {
                let mut taken = Taken::nothing(BodyLength::Chunked, head.len());
                sent[..stop].chunks(step).for_each(|bytes| taken.part(bytes));
                assert_eq!(taken.data(), expected, "{stop} in steps of {step}");
            }
            let mut taken = Taken::nothing(BodyLength::Length(100), head.len());
            taken.part(&sent[..stop]);
            assert_eq!(taken.data(), stop.saturating_sub(head.len()) as u64);
        }
    }

    #[test]
    fn it_goes_on_from_where_all_was_taken() {
        let mut decoder = BodyDecoder::new(BodyLength::Chunked);
        let first = decoder.run(b"5\r\nhel");
        let mut taken = Taken::nothing(BodyLength::Chunked, 0);
        taken.all(first.data, decoder.boundary());
        taken.part(b"lo\r\n1\r");
        assert_eq!(taken.data(), 5);
        taken.part(b"\n!\r");
        assert_eq!(taken.data(), 6);
    }
}
