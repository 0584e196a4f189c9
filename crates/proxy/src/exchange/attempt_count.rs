//! `x-envoy-attempt-count`: tells the endpoint how often a request has been sent, so that it can tell
//! one that was repeated from one that was made twice.

use policy::filter::{Filter, HeaderEdits};
use wire::field::{Fields, Known};

use crate::upstream::body::Upload;

/// The field. What a client sends under its name is no news of ours and is replaced.
const FIELD: &[u8] = Known::XEnvoyAttemptCount.name().as_bytes();

/// Says that it is the first attempt.
#[inline]
pub(crate) fn announce(fields: &mut Fields) {
    fields.put(Known::XEnvoyAttemptCount, |value| value.push(b'1'));
}

/// Whether the count stays ours under these filters: an owner who edits the field has the last word on it.
pub(crate) fn is_ours<'a>(mut filters: impl Iterator<Item = &'a Filter>) -> bool {
    let names = |edits: &HeaderEdits| edits.names(Known::XEnvoyAttemptCount.name());
    !filters.any(|filter| matches!(filter, Filter::RequestHeaders(edits) if names(edits)))
}

/// Says that it is the `count`th attempt, in a head that is encoded already.
pub(crate) fn renumber(upload: &mut Upload, count: u32) {
    let head = upload.head();
    // A field begins behind a line's end, which no value contains.
    let line = [b"\r\n", FIELD, b": "].concat();
    let Some(at) = head.windows(line.len()).position(|window| *window == line) else {
        return;
    };
    let start = at + line.len();
    let digits = head[start..].iter().take_while(|byte| byte.is_ascii_digit());
    let place = start..start + digits.count();
    upload.replace_in_head(place, count.to_string().as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::h1::framing::BodyLength;

    #[test]
    fn the_count_is_replaced_in_its_place_however_many_digits_it_has() {
        let head = b"GET / HTTP/1.1\r\nx-a: b\r\nx-envoy-attempt-count: 1\r\nvia: x\r\n\r\n";
        let mut upload = Upload::new(
            head.to_vec(),
            BodyLength::None,
            0,
            policy::time::Moment::default(),
        );
        for count in [2, 9, 10, 3] {
            renumber(&mut upload, count);
            let expected = format!("x-a: b\r\nx-envoy-attempt-count: {count}\r\nvia: x\r\n\r\n");
            let head = String::from_utf8_lossy(upload.head()).into_owned();
            assert!(head.ends_with(&expected), "{head}");
            assert_eq!(upload.complete().map(<[u8]>::len), Some(head.len()));
        }
    }

    #[test]
    fn what_a_client_claims_is_replaced() {
        let mut fields = Fields::default();
        fields.push(b"X-Envoy-Attempt-Count", b"7");
        announce(&mut fields);
        assert_eq!(fields.get(Known::XEnvoyAttemptCount), Some(&b"1"[..]));
        assert_eq!(fields.len(), 1);
    }
}
