//! Responses that RFC 9112 lets a recipient mend, where nobody can read them in two ways: what goes on is
//! written anew, and the connection is not used again. Requests are never mended.

use memchr::memchr;

use super::framing::{self, BodyLength, FramingError};
use super::head::{Method, ResponseHead, Version};
use super::head_error::HeadError;
use crate::bytes::{are_value_bytes, is_token, trim};
use crate::field::{Fields, Known};

/// What was mended in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mend {
    /// Empty lines before the status line were skipped.
    EmptyLine,
    /// A line feed alone was taken for a line's end (RFC 9112, 2.2).
    BareLf,
    /// A folded line was joined to the one before (RFC 9112, 5.2).
    ObsFold,
    /// White space before a field's colon was removed (RFC 9112, 5.1).
    WhiteSpaceBeforeColon,
    /// Equal lengths were taken for one (RFC 9110, 8.6).
    EqualLengths,
    /// `Content-Length` beside `Transfer-Encoding: chunked` was left out (RFC 9112, 6.3).
    LengthBesideChunked,
    /// Framing fields of a response that has no body were left out (RFC 9112, 6.3).
    FramingWithoutBody,
}

impl Mend {
    /// What the endpoint sent, in words.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::EmptyLine => "an empty line before the status line",
            Self::BareLf => "a line that ends with a line feed alone",
            Self::ObsFold => "a field folded over several lines",
            Self::WhiteSpaceBeforeColon => "white space before a field's colon",
            Self::EqualLengths => "the same Content-Length more than once",
            Self::LengthBesideChunked => "Content-Length beside Transfer-Encoding: chunked",
            Self::FramingWithoutBody => "framing fields in a response that has no body",
        }
    }
}

/// What a line came to that is not as it should be.
pub(super) enum Mended {
    /// It is a field, or part of one; so many bytes.
    Line(usize, Mend),
    /// It ends the section; so many bytes.
    End(usize),
}

/// Takes the line at the start of `rest` over that was refused for `error`; `None` while it is incomplete.
#[cold]
pub(super) fn line(
    rest: &[u8],
    fields: &mut Fields,
    most: usize,
    error: HeadError,
) -> Result<Option<Mended>, HeadError> {
    let Some(end) = memchr(b'\n', rest) else {
        return Ok(None);
    };
    let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
    if line.is_empty() {
        return Ok(Some(Mended::End(end + 1)));
    }
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        let more = trim(line);
        if more.is_empty() || !are_value_bytes(more) || !fields.extend_last(more) {
            return Err(error);
        }
        return Ok(Some(Mended::Line(end + 1, Mend::ObsFold)));
    }
    if fields.len() >= most {
        return Err(HeadError::TooManyFields);
    }
    let colon = memchr(b':', line).ok_or(error)?;
    let (sent, value) = (&line[..colon], trim(&line[colon + 1..]));
    let name = trim(sent);
    if !is_token(name) || !are_value_bytes(value) {
        return Err(error);
    }
    fields.push(name, value);
    let mend = if name == sent {
        Mend::BareLf
    } else {
        Mend::WhiteSpaceBeforeColon
    };
    Ok(Some(Mended::Line(end + 1, mend)))
}

/// As [`framing::response_body`], of a response whose framing fields may be mended: then they are, in the
/// head, and it says so.
///
/// # Errors
/// As there: what contradicts itself, or says nothing certain of where the body ends, stays an error.
pub fn response_body(head: &mut ResponseHead, request_method: Method) -> Result<BodyLength, FramingError> {
    let refused = match framing::response_body(head, request_method) {
        Ok(body) => return Ok(body),
        Err(error) => error,
    };
    mend_framing(head, request_method, refused)
}

#[cold]
fn mend_framing(
    head: &mut ResponseHead,
    request_method: Method,
    refused: FramingError,
) -> Result<BodyLength, FramingError> {
    let bodiless = head.status < 200 || matches!(head.status, 204 | 304) || request_method == Method::Head;
    let mend = if bodiless {
        head.fields.remove(Known::TransferEncoding);
        head.fields.remove(Known::ContentLength);
        Mend::FramingWithoutBody
    } else if refused == FramingError::LengthAndTransferEncoding && head.version == Version::Http11 {
        head.fields.remove(Known::ContentLength);
        Mend::LengthBesideChunked
    } else if let Some(length) =
        equal_lengths(&head.fields).filter(|_| refused == FramingError::SeveralLengths)
    {
        head.fields
            .put(Known::ContentLength, |value| value.extend_from_slice(&length));
        Mend::EqualLengths
    } else {
        return Err(refused);
    };
    let body = framing::response_body(head, request_method)?;
    head.mended.get_or_insert(mend);
    Ok(body)
}

/// The one length that all of them state.
fn equal_lengths(fields: &Fields) -> Option<Vec<u8>> {
    let all = fields.all(Known::ContentLength);
    let mut lengths = all.flat_map(|value| value.split(|&byte| byte == b',')).map(trim);
    let first = lengths.next()?;
    lengths.all(|length| length == first).then(|| first.to_vec())
}

#[cfg(test)]
mod tests;
