//! Fields -> heads: everything that RFC 9113, 8 asks of a message. The grammars of tokens, targets and hosts are
//! those of HTTP/1, so that nothing is taken here that an HTTP/1 endpoint would read differently.

use super::error::StreamError;
use super::hpack::{FIELD_OVERHEAD, Field};
use crate::bytes::{are_value_bytes, is_target_byte, is_token, trim};
use crate::field::{Fields, Known};
use crate::h1::framing;
use crate::hop::{self, TrailerFate};
use crate::host::Authority;
use crate::message::{Method, RequestHead, ResponseHead, Scheme, Size};
use crate::scan::all;

/// Texts of a request's head until all of it is known; memory for one thread to lend to all its connections.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    method: Vec<u8>,
    authority: Vec<u8>,
    path: Vec<u8>,
    protocol: Vec<u8>,
    host: Vec<u8>,
    cookie: Vec<u8>,
}

impl Texts {
    fn clear(&mut self) {
        let Self {
            method,
            authority,
            path,
            protocol,
            host,
            cookie,
        } = self;
        for text in [method, authority, path, protocol, host, cookie] {
            text.clear();
        }
    }
}

/// What of a section's limits is left, and the first thing that is wrong.
struct Section {
    bytes_left: usize,
    fields_left: usize,
    /// Whether a field that is no pseudo field came.
    in_fields: bool,
    error: Option<StreamError>,
}

impl Section {
    fn new(bytes: u32, fields: u32) -> Self {
        Self {
            bytes_left: bytes as usize,
            fields_left: fields as usize,
            in_fields: false,
            error: None,
        }
    }

    /// Counts a field, and hands it to `take` if nothing was wrong so far.
    fn take(&mut self, field: &Field<'_>, take: impl FnOnce(bool) -> Result<(), StreamError>) {
        if self.error.is_some() {
            return;
        }
        let size = field.name.len() + field.value.len() + FIELD_OVERHEAD;
        let is_pseudo = field.name.first() == Some(&b':');
        let counted = || {
            self.bytes_left = self.bytes_left.checked_sub(size).ok_or(StreamError::TooLarge)?;
            if is_pseudo {
                return if self.in_fields {
                    Err(StreamError::PseudoBehindField)
                } else {
                    Ok(())
                };
            }
            self.in_fields = true;
            self.fields_left = self
                .fields_left
                .checked_sub(1)
                .ok_or(StreamError::TooManyFields)?;
            check_field(field)
        };
        let mut counted = counted;
        self.error = counted().and_then(|()| take(is_pseudo)).err();
    }
}

/// RFC 9113, 8.2.1, and 9110, 5.6.2 for names.
fn check_field(field: &Field<'_>) -> Result<(), StreamError> {
    let lower = |byte: u8| !byte.is_ascii_uppercase();
    if !is_token(field.name) || !all(field.name, lower) {
        return Err(StreamError::InvalidName);
    }
    if !are_value_bytes(field.value) || trim(field.value).len() != field.value.len() {
        return Err(StreamError::InvalidValue);
    }
    Ok(())
}

/// RFC 9113, 8.2.2.
fn check_connection(known: Known, value: &[u8]) -> Result<(), StreamError> {
    match known {
        Known::Connection
        | Known::KeepAlive
        | Known::ProxyConnection
        | Known::TransferEncoding
        | Known::Upgrade => Err(StreamError::ConnectionField),
        Known::Te if !value.eq_ignore_ascii_case(b"trailers") => Err(StreamError::ConnectionField),
        _ => Ok(()),
    }
}

/// A request's head as its fields come.
pub(super) struct RequestBuilder<'a> {
    head: &'a mut RequestHead,
    texts: &'a mut Texts,
    section: Section,
    seen: u8,
    has_host: bool,
}

impl<'a> RequestBuilder<'a> {
    pub(super) fn new(head: &'a mut RequestHead, texts: &'a mut Texts, bytes: u32, fields: u32) -> Self {
        head.clear();
        texts.clear();
        Self {
            head,
            texts,
            section: Section::new(bytes, fields),
            seen: 0,
            has_host: false,
        }
    }

    pub(super) fn take(&mut self, field: &Field<'_>) {
        let Self {
            head,
            texts,
            section,
            seen,
            has_host,
        } = self;
        section.take(field, |is_pseudo| {
            if is_pseudo {
                return pseudo(head, texts, seen, field);
            }
            head.never_indexed |= field.never_indexed;
            let known = Known::of(field.name);
            check_connection(known, field.value)?;
            if known == Known::Host {
                texts.host.extend_from_slice(field.value);
                return if std::mem::replace(has_host, true) {
                    Err(StreamError::ConflictingHost)
                } else {
                    Ok(())
                };
            }
            if field.name == b"cookie" {
                // RFC 9113, 8.2.3: they are one field to everyone else. An empty one adds nothing but its separator.
                if !texts.cookie.is_empty() && !field.value.is_empty() {
                    texts.cookie.extend_from_slice(b"; ");
                }
                texts.cookie.extend_from_slice(field.value);
                return Ok(());
            }
            head.fields.push_known(known, field.name, field.value);
            Ok(())
        });
    }

    /// The head is whole.
    pub(super) fn finish(self, end: bool, connect_protocol: bool) -> Result<(), StreamError> {
        if let Some(error) = self.section.error {
            return Err(error);
        }
        let Self {
            head,
            texts,
            seen,
            has_host,
            ..
        } = self;
        if texts.method.is_empty() {
            return Err(StreamError::MissingPseudo);
        }
        if !is_token(&texts.method) {
            return Err(StreamError::InvalidMethod);
        }
        let method = Method::of(&texts.method);
        let is_connect = method == Method::Connect;
        let has_protocol = seen & PROTOCOL != 0;
        if has_protocol && !connect_protocol {
            return Err(StreamError::UnknownPseudo);
        }
        if has_protocol && (!is_connect || !is_token(&texts.protocol)) {
            return Err(StreamError::BadProtocol);
        }
        let is_plain_connect = is_connect && !has_protocol;
        if is_plain_connect {
            // RFC 9113, 8.5.
            if seen & (SCHEME | PATH) != 0 {
                return Err(StreamError::UnknownPseudo);
            }
        } else if head.scheme.is_none() || texts.path.is_empty() {
            return Err(StreamError::MissingPseudo);
        } else if !is_path(&texts.path, method) {
            return Err(StreamError::InvalidPath);
        }
        let authority = authority(texts, seen, has_host, is_connect)?;
        if is_plain_connect
            && Authority::parse(authority)
                .ok()
                .is_none_or(|authority| authority.port.is_none())
        {
            return Err(StreamError::BadAuthority);
        }
        // All were found to be tokens and targets, which are ASCII.
        let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
        head.set_target(
            text(&texts.method),
            authority,
            text(&texts.path),
            text(&texts.protocol),
        );
        if !texts.cookie.is_empty() {
            head.fields.push(b"cookie", &texts.cookie);
        }
        head.size = request_size(&head.fields, method, end)?;
        Ok(())
    }
}

/// Takes a pseudo field of a request.
fn pseudo(
    head: &mut RequestHead,
    texts: &mut Texts,
    seen: &mut u8,
    field: &Field<'_>,
) -> Result<(), StreamError> {
    let (bit, text) = match field.name {
        b":method" => (METHOD, &mut texts.method),
        b":path" => (PATH, &mut texts.path),
        b":authority" => (AUTHORITY, &mut texts.authority),
        b":protocol" => (PROTOCOL, &mut texts.protocol),
        b":scheme" => {
            if *seen & SCHEME != 0 {
                return Err(StreamError::RepeatedPseudo);
            }
            *seen |= SCHEME;
            head.scheme = Some(Scheme::of(field.value).ok_or(StreamError::BadScheme)?);
            return Ok(());
        }
        _ => return Err(StreamError::UnknownPseudo),
    };
    if *seen & bit != 0 {
        return Err(StreamError::RepeatedPseudo);
    }
    *seen |= bit;
    head.never_indexed |= field.never_indexed;
    text.extend_from_slice(field.value);
    Ok(())
}

/// RFC 9113, 8.3.1: `:authority`, or `Host` without it; never two that differ.
fn authority(texts: &Texts, seen: u8, has_host: bool, is_connect: bool) -> Result<&str, StreamError> {
    let has_authority = seen & AUTHORITY != 0;
    if has_authority && has_host && !texts.authority.eq_ignore_ascii_case(&texts.host) {
        return Err(StreamError::ConflictingHost);
    }
    let text = match (has_authority, has_host) {
        (true, _) => &texts.authority,
        (false, true) if !is_connect => &texts.host,
        _ => return Err(StreamError::MissingPseudo),
    };
    if text.is_empty() {
        return Err(StreamError::MissingPseudo);
    }
    let text = std::str::from_utf8(text).map_err(|_| StreamError::BadAuthority)?;
    Authority::parse(text).map_err(|_| StreamError::BadAuthority)?;
    Ok(text)
}

/// Whether a path may be forwarded as far as its bytes go; what its escapes and dots mean is decided with HTTP/1's.
fn is_path(path: &[u8], method: Method) -> bool {
    (path.starts_with(b"/") && all(path, is_target_byte)) || (path == b"*" && method == Method::Options)
}

fn request_size(fields: &Fields, method: Method, end: bool) -> Result<Size, StreamError> {
    let stated = stated_length(fields)?;
    match method {
        Method::Connect if stated.is_some_and(|length| length > 0) => Err(StreamError::BodyNotAllowed),
        Method::Trace if !end || stated.is_some_and(|length| length > 0) => Err(StreamError::BodyNotAllowed),
        // What follows is a tunnel.
        Method::Connect if !end => Ok(Size::Unknown),
        _ => match (stated, end) {
            (None, true) => Ok(Size::None),
            (None, false) => Ok(Size::Unknown),
            (Some(1..), true) => Err(StreamError::LengthMismatch),
            (Some(length), _) => Ok(Size::Known(length)),
        },
    }
}

fn stated_length(fields: &Fields) -> Result<Option<u64>, StreamError> {
    if !fields.has(Known::ContentLength) {
        return Ok(None);
    }
    let length = framing::content_length(fields).map_err(|_| StreamError::BadLength)?;
    Ok(Some(length))
}

/// A response's head as its fields come.
pub(super) struct ResponseBuilder<'a> {
    head: &'a mut ResponseHead,
    section: Section,
}

impl<'a> ResponseBuilder<'a> {
    pub(super) fn new(head: &'a mut ResponseHead, bytes: u32, fields: u32) -> Self {
        head.clear();
        Self {
            head,
            section: Section::new(bytes, fields),
        }
    }

    pub(super) fn take(&mut self, field: &Field<'_>) {
        let Self { head, section } = self;
        section.take(field, |is_pseudo| {
            if is_pseudo {
                return status(head, field);
            }
            head.never_indexed |= field.never_indexed;
            let known = Known::of(field.name);
            check_connection(known, field.value)?;
            head.fields.push_known(known, field.name, field.value);
            Ok(())
        });
    }

    /// The head of a response to `method` is whole.
    pub(super) fn finish(self, end: bool, method: Method) -> Result<(), StreamError> {
        if let Some(error) = self.section.error {
            return Err(error);
        }
        let head = self.head;
        match head.status {
            0 => return Err(StreamError::MissingPseudo),
            100..200 if end => return Err(StreamError::BadInterim),
            200..300 if method == Method::Connect => {
                // RFC 9110, 9.3.6: what states framing there is ignored.
                head.fields.remove(Known::ContentLength);
                head.size = if end { Size::None } else { Size::Unknown };
                return Ok(());
            }
            _ => {}
        }
        let stated = stated_length(&head.fields)?;
        head.size = match (stated, end) {
            _ if has_no_content(head.status, method) => Size::None,
            (None, false) => Size::Unknown,
            (None, true) => Size::Known(0),
            (Some(1..), true) => return Err(StreamError::LengthMismatch),
            (Some(length), _) => Size::Known(length),
        };
        Ok(())
    }
}

/// Whether a response has no content whatever it states (RFC 9110, 6.4.1).
fn has_no_content(status: u16, method: Method) -> bool {
    status < 200 || matches!(status, 204 | 304) || method == Method::Head
}

fn status(head: &mut ResponseHead, field: &Field<'_>) -> Result<(), StreamError> {
    if field.name != b":status" {
        return Err(StreamError::UnknownPseudo);
    }
    if head.status != 0 {
        return Err(StreamError::RepeatedPseudo);
    }
    let &[a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] = field.value else {
        return Err(StreamError::BadStatus);
    };
    let digit = |byte: u8| u16::from(byte - b'0');
    let status = 100 * digit(a) + 10 * digit(b) + digit(c);
    if status == 101 {
        // RFC 9113, 8.6.
        return Err(StreamError::BadStatus);
    }
    head.status = status;
    Ok(())
}

/// Trailers as their fields come.
pub(super) struct TrailersBuilder<'a> {
    fields: &'a mut Fields,
    section: Section,
}

impl<'a> TrailersBuilder<'a> {
    pub(super) fn new(fields: &'a mut Fields, bytes: u32, most: u32) -> Self {
        fields.clear();
        Self {
            fields,
            section: Section::new(bytes, most),
        }
    }

    pub(super) fn take(&mut self, field: &Field<'_>) {
        let Self { fields, section } = self;
        section.take(field, |is_pseudo| {
            let known = Known::of(field.name);
            check_connection(known, field.value)?;
            match hop::trailer_fate(known, field.name) {
                _ if is_pseudo => return Err(StreamError::BadTrailers),
                TrailerFate::Refuse => return Err(StreamError::BadTrailers),
                TrailerFate::Keep => fields.push_known(known, field.name, field.value),
                TrailerFate::Drop => {}
            }
            Ok(())
        });
    }

    pub(super) fn finish(self) -> Result<(), StreamError> {
        self.section.error.map_or(Ok(()), Err)
    }
}

const METHOD: u8 = 1;
const SCHEME: u8 = 1 << 1;
const AUTHORITY: u8 = 1 << 2;
const PATH: u8 = 1 << 3;
const PROTOCOL: u8 = 1 << 4;
