//! Flow control (RFC 9113, 5.2 and 6.9), of a stream or of a connection.

/// The largest window there is.
pub(super) const WINDOW_MAX: u32 = u32::MAX >> 1;
/// Every window before SETTINGS say otherwise; the connection's for as long as it is not updated.
pub(super) const WINDOW_DEFAULT: u32 = 65_535;

/// What we may send. Settings can make it negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SendWindow(i64);

/// A window that would pass [`WINDOW_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overflow;

impl SendWindow {
    pub(super) const fn new(size: u32) -> Self {
        Self(size as i64)
    }

    /// How many bytes may be sent now.
    pub(super) fn open(self) -> usize {
        self.0.max(0) as usize
    }

    /// Bytes were sent, no more than were open.
    pub(super) fn on_sent(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.open(), "{bytes} of {}", self.0);
        self.0 -= bytes as i64;
    }

    /// Opens it, or closes it where `by` is negative.
    pub(super) fn change(&mut self, by: i64) -> Result<(), Overflow> {
        let changed = self.0 + by;
        if changed > i64::from(WINDOW_MAX) {
            return Err(Overflow);
        }
        self.0 = changed;
        Ok(())
    }
}

/// What the peer may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReceiveWindow {
    /// How many bytes may come now.
    open: i64,
    /// What was consumed and not yet given back.
    owed: u32,
}

impl ReceiveWindow {
    pub(super) const fn new(size: u32) -> Self {
        Self {
            open: size as i64,
            owed: 0,
        }
    }

    /// Bytes came. `Err` if they are more than may.
    pub(super) fn on_received(&mut self, bytes: usize) -> Result<(), Overflow> {
        self.open -= bytes as i64;
        if self.open < 0 { Err(Overflow) } else { Ok(()) }
    }

    /// Bytes were consumed. `Some`: credit that is to be given to the peer now. It is given in halves of the window,
    /// so that small reads do not send a frame each.
    pub(super) fn on_consumed(&mut self, bytes: usize, size: u32) -> Option<u32> {
        // What is consumed was received, so it fits.
        self.owed += bytes as u32;
        if self.owed == 0 || self.owed < size / 2 {
            return None;
        }
        let credit = std::mem::take(&mut self.owed);
        self.open += i64::from(credit);
        Some(credit)
    }

    /// The size that it began with has changed.
    pub(super) fn change(&mut self, by: i64) {
        self.open += by;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn settings_make_a_window_negative_and_updates_open_it_again() {
        let mut window = SendWindow::new(100);
        window.on_sent(100);
        assert_eq!(window.change(-100), Ok(()));
        assert_eq!(window.open(), 0);
        assert_eq!(window.change(150), Ok(()));
        assert_eq!(window.open(), 50);
        assert_eq!(window.change(i64::from(WINDOW_MAX) - 49), Err(Overflow));
        assert_eq!(window.change(i64::from(WINDOW_MAX) - 50), Ok(()));
    }

    proptest! {
        #[test]
        fn a_peer_that_heeds_its_credit_never_passes_the_window(size in 1..500_u32, takes in prop::collection::vec(0..300_usize, 0..60)) {
            let mut window = ReceiveWindow::new(size);
            let (mut credit, mut held) = (size as usize, 0);
            for take in takes {
                let sent = take.min(credit);
                prop_assert_eq!(window.on_received(sent), Ok(()));
                (credit, held) = (credit - sent, held + sent);
                // All that is held but for some is consumed.
                let consumed = held - held.min(take / 3);
                held -= consumed;
                credit += window.on_consumed(consumed, size).unwrap_or(0) as usize;
                prop_assert!(credit + held <= size as usize);
                // Once all is consumed, half of the window at least is open.
                prop_assert!(held > 0 || credit > size as usize / 2 || credit == size as usize);
            }
            prop_assert_eq!(window.on_received(credit + 1), Err(Overflow));
        }
    }
}
