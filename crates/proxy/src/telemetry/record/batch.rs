//! Lines on their way from a worker to the writer.

use std::time::Duration;

use policy::time::Moment;

use super::line_writer::LineWriter;

/// A batch is handed over when it has this much. What costs is the handing over, which wakes the
/// writer, and each write, which a file system makes little dearer by giving it more.
pub(super) const BYTES_MAX: usize = 128 * 1024;

/// One that fills slowly goes when it has this much, so that lines come to the file about as soon as
/// if batches were of this size.
const BYTES_MIN: usize = 32 * 1024;

/// What fills slowly: it has taken this long.
const SLOW: Duration = Duration::from_millis(5);

/// Room for a batch and the line that completes it. A buffer that a rare long line has grown past
/// this is given up instead of being kept.
const ROOM: usize = BYTES_MAX + 16 * 1024;

/// Whole lines, and how many. An empty batch only wakes the writer.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Lines, and behind them room for more.
    room: Vec<u8>,
    used: usize,
    count: u64,
    /// When the first line was written.
    begun: Moment,
}

impl Batch {
    /// One without lines, with a buffer that was used before if there is one.
    pub(super) fn new(buffer: Option<Vec<u8>>) -> Self {
        Self {
            room: buffer.unwrap_or_else(|| vec![0; ROOM]),
            ..Self::default()
        }
    }

    /// The buffer, if it is one to be used again.
    pub(super) fn into_buffer(self) -> Option<Vec<u8>> {
        (self.room.len() == ROOM).then_some(self.room)
    }

    /// Its lines.
    pub(super) fn lines(&self) -> &[u8] {
        &self.room[..self.used]
    }

    /// How many lines.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Whether a line of at most so many bytes fits.
    pub(super) fn fits(&self, most: usize) -> bool {
        self.room.len() - self.used >= most
    }

    /// Has a line written that takes no more than `most` bytes.
    pub(super) fn write(
        &mut self,
        most: usize,
        now: Moment,
        line: impl FnOnce(LineWriter<'_>) -> LineWriter<'_>,
    ) {
        if !self.fits(most) {
            // New memory that comes zeroed costs nothing until it is written to.
            let mut room = vec![0; ROOM.max(self.used + most)];
            room[..self.used].copy_from_slice(self.lines());
            self.room = room;
        }
        if self.count == 0 {
            self.begun = now;
        }
        let whole = self.room.len();
        let writer = line(LineWriter::new(&mut self.room[self.used..]));
        self.used = whole - writer.left();
        self.count += 1;
    }

    /// Whether it is to be handed over.
    pub(super) fn is_due(&self, now: Moment) -> bool {
        self.used >= BYTES_MIN && (self.used >= BYTES_MAX || now.since(self.begun) >= SLOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(bytes: usize) -> Batch {
        let mut batch = Batch::new(None);
        for _ in 0..bytes / 1024 {
            batch.write(1024, Moment::from_millis(1), |mut writer| {
                writer.put(&[b'x'; 1024]);
                writer
            });
        }
        batch
    }

    #[test]
    fn a_batch_is_due_when_it_is_large_or_when_it_fills_slowly() {
        let (soon, late) = (Moment::from_millis(5), Moment::from_millis(6));
        assert!(!filled(BYTES_MIN - 1024).is_due(late));
        assert!(!filled(BYTES_MIN).is_due(soon) && filled(BYTES_MIN).is_due(late));
        assert!(!filled(BYTES_MAX - 1024).is_due(soon) && filled(BYTES_MAX).is_due(soon));
    }

    #[test]
    fn a_line_longer_than_the_room_is_written_whole_and_its_buffer_is_not_kept() {
        let mut batch = filled(2048);
        batch.write(2 * ROOM, Moment::default(), |mut writer| {
            writer.put(&vec![b'y'; ROOM + 1]);
            writer
        });
        assert_eq!((batch.count(), batch.lines().len()), (3, 2048 + ROOM + 1));
        assert!(batch.into_buffer().is_none());
        assert!(filled(BYTES_MAX).into_buffer().is_some());
    }
}
