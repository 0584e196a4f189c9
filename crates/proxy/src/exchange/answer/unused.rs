//! A response that nobody gets, since its request is sent again: it is read to its end where that takes no wait, so
//! that its connection is used again.

use wire::field::{Fields, Known};
use wire::h1::decode::{BodyDecoder, Part};
use wire::h1::framing::{self, BodyLength};
use wire::h1::head::{Limits, Method, ResponseHead};

use super::timeout_hint;
use crate::transport::buffer::SMALL_READ_SIZE;
use crate::upstream::lease::Lease;

/// Reads of what has come at most: a longer body costs more than a connection.
const READS: u32 = 2;

/// Reads off what has come of a response to `method`, whose head was read, and hands its connection back: to be used
/// again if all of the response is here, and to be closed otherwise.
pub(crate) fn read_off(mut lease: Lease<'_>, response: &ResponseHead, method: Method) {
    let stays = response.mended.is_none() && framing::keeps_alive(response.version, &response.fields);
    let body = framing::response_body(response, method);
    let whole = stays && body.is_ok_and(|body| body != BodyLength::UntilClose && is_whole(&mut lease, body));
    if whole && lease.input.is_empty() {
        lease.recycle(response.fields.get(Known::KeepAlive).and_then(timeout_hint));
    } else {
        lease.close();
    }
}

/// Takes the body, if it is here.
fn is_whole(lease: &mut Lease<'_>, body: BodyLength) -> bool {
    let (mut decoder, limits) = (BodyDecoder::new(body), Limits::default());
    let mut reads = 0;
    loop {
        let Ok(step) = decoder.decode(lease.input.data(), &limits, &mut Fields::default()) else {
            return false;
        };
        lease.input.consume(step.consumed);
        match step.part {
            Part::End => return true,
            Part::Data(_) => continue,
            Part::NeedMore if reads == READS => return false,
            Part::NeedMore => reads += 1,
        }
        let connection = &mut **lease;
        match connection
            .transport
            .try_read(connection.input.space(SMALL_READ_SIZE))
        {
            Ok(count) if count > 0 => connection.input.filled(count),
            _ => return false,
        }
    }
}
