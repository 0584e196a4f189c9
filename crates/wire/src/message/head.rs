//! Heads in reusable memory.

use super::Size;
use crate::bytes::is_token;
use crate::field::Fields;
use crate::h1::head::Method;

/// A target's scheme; no other is proxied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the scheme it is named after")]
pub enum Scheme {
    #[default]
    Http,
    Https,
}

impl Scheme {
    /// In lower case.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The scheme of that name, whatever its case (RFC 3986, 3.1).
    #[must_use]
    pub fn of(text: &[u8]) -> Option<Self> {
        [Self::Http, Self::Https]
            .into_iter()
            .find(|scheme| text.eq_ignore_ascii_case(scheme.text().as_bytes()))
    }
}

/// A request's head. Its `fields` have neither `Host`, which is the authority here, nor fields that state framing
/// or concern one connection only, but for `Content-Length` and `TE: trailers`.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    /// What the method is to us. Change it by [`RequestHead::set_method`] only.
    pub method: Method,
    /// `None` for a CONNECT without protocol, which has no scheme.
    pub scheme: Option<Scheme>,
    /// Its fields.
    pub fields: Fields,
    /// How large its content is.
    pub size: Size,
    /// Whether some field may not enter a compression table at any hop (RFC 7541, 6.2.3).
    pub never_indexed: bool,
    /// Method, authority, path and protocol, one after the other.
    texts: String,
    ends: [u32; 3],
}

/// A response's head. Its `fields` are as a request's.
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    /// 100..=999.
    pub status: u16,
    /// Its fields.
    pub fields: Fields,
    /// How large its content is.
    pub size: Size,
    /// Whether some field may not enter a compression table at any hop (RFC 7541, 6.2.3).
    pub never_indexed: bool,
}

impl RequestHead {
    /// The method as sent: a case-sensitive token.
    #[must_use]
    pub fn method_text(&self) -> &str {
        &self.texts[..self.ends[0] as usize]
    }

    /// The host and perhaps a port, as sent, well-formed: from `:authority`, or from `Host` where that is absent.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.texts[self.ends[0] as usize..self.ends[1] as usize]
    }

    /// Path and query as sent, beginning with `/`; `*` of OPTIONS alone; empty for a CONNECT without protocol.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.texts[self.ends[1] as usize..self.ends[2] as usize]
    }

    /// What a CONNECT asks to speak (RFC 8441, 4): a token. `None` for all else.
    #[must_use]
    pub fn protocol(&self) -> Option<&str> {
        let protocol = &self.texts[self.ends[2] as usize..];
        (!protocol.is_empty()).then_some(protocol)
    }

    /// Says what is asked for. The method must be a token and the protocol one or empty (debug-asserted); authority
    /// and path are as their getters say.
    pub fn set_target(&mut self, method: &str, authority: &str, path: &str, protocol: &str) {
        debug_assert!(is_token(method.as_bytes()), "{method:?} is no method");
        debug_assert!(
            protocol.is_empty() || is_token(protocol.as_bytes()),
            "{protocol:?} is no protocol"
        );
        self.texts.clear();
        for (text, end) in [method, authority, path].into_iter().zip(&mut self.ends) {
            self.texts.push_str(text);
            *end = self.texts.len() as u32;
        }
        self.texts.push_str(protocol);
        self.method = Method::of(method.as_bytes());
    }

    /// Forgets the request, keeps the memory.
    pub fn clear(&mut self) {
        self.method = Method::default();
        self.scheme = None;
        self.fields.clear();
        self.size = Size::None;
        self.never_indexed = false;
        self.texts.clear();
        self.ends = [0; 3];
    }
}

impl ResponseHead {
    /// Begins a response of our own, without fields and content. The status must lie in 100..=999
    /// (debug-asserted).
    pub fn start(&mut self, status: u16) {
        debug_assert!((100..=999).contains(&status), "{status} is no status");
        self.clear();
        self.status = status;
    }

    /// Forgets the response, keeps the memory.
    pub fn clear(&mut self) {
        self.status = 0;
        self.fields.clear();
        self.size = Size::None;
        self.never_indexed = false;
    }
}
