//! Interim responses on their way to the client.

use wire::h1::encode::{self, OutboundHead};
use wire::h1::head::ResponseHead;
use wire::outbound;

use crate::NAME;

/// Makes of an interim response's head (1xx) what goes on, and appends it.
pub(crate) fn write(out: &mut Vec<u8>, head: &mut ResponseHead) {
    outbound::interim(head, NAME);
    encode::response(out, head, &OutboundHead::default());
}
