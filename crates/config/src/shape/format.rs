//! What a text must look like.

use std::net::IpAddr;

use crate::mistake::Code;
use crate::node::quoted;
use crate::units;

/// The form of a text field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Anything, up to 4096 bytes.
    Plain,
    /// A name of RFC 1123 with dots, up to 253 bytes.
    Name,
    /// A name of RFC 1123 without dots, up to 63 bytes.
    Label,
    /// An API group; empty for the core group.
    Group,
    /// A hostname, or a wildcard for its first label.
    Hostname,
    /// A hostname without wildcard.
    PreciseHostname,
    /// A name for DNS: as a hostname, underscores allowed.
    DnsName,
    IpAddress,
    /// The path of a URL, absolute.
    UrlPath,
    /// The same, perhaps with a query.
    PathAndQuery,
    /// A path in the file system, absolute.
    FilePath,
    FieldName,
    FieldValue,
    /// An origin as CORS has them.
    Origin,
    /// A field name of HTTP, or `*`.
    FieldNameOrAny,
    /// The name of a cookie (RFC 6265, 4.1.1).
    CookieName,
    /// Bytes in base64.
    Base64,
    /// An address and a prefix length.
    Network,
}

/// Why a text does not have its form.
pub(crate) struct Complaint {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) help: String,
}

impl Format {
    /// Accepts the text, or says what is wrong with it.
    pub(crate) fn check(self, text: &str) -> Result<(), Complaint> {
        let (least, most) = self.length();
        if text.len() < least || text.len() > most {
            let message = if text.is_empty() {
                "this text is empty".to_owned()
            } else {
                format!("this text has {} bytes", text.len())
            };
            return Err(Complaint {
                code: Code::OutOfRange,
                message,
                help: format!("it must have {least} to {most}"),
            });
        }
        let (right, code) = match self {
            Self::Plain => (true, Code::NotAllowed),
            Self::Name => (dotted(text, false), Code::BadName),
            Self::Label => (label(text, false), Code::BadName),
            Self::Group => (text.is_empty() || dotted(text, false), Code::BadName),
            Self::Hostname => (
                hostname(text.strip_prefix("*.").unwrap_or(text)),
                Code::BadHostname,
            ),
            Self::PreciseHostname => (hostname(text), Code::BadHostname),
            Self::DnsName => (
                dotted(&text.to_lowercase(), true) && text.parse::<IpAddr>().is_err(),
                Code::BadHostname,
            ),
            Self::IpAddress => (text.parse::<IpAddr>().is_ok(), Code::BadAddress),
            Self::UrlPath => (url_path(text), Code::BadPath),
            Self::PathAndQuery => (path_and_query(text), Code::BadPath),
            Self::FilePath => (text.starts_with('/') && !text.contains('\0'), Code::BadPath),
            Self::FieldName => (token(text), Code::BadHeader),
            Self::FieldValue => (field_value(text), Code::BadHeader),
            Self::Origin => (text == "*" || origin(text), Code::BadOrigin),
            Self::FieldNameOrAny | Self::CookieName => (token(text), Code::BadHeader),
            Self::Base64 => (units::base64(text).is_some(), Code::BadBase64),
            Self::Network => (units::network(text).is_some(), Code::BadAddress),
        };
        if right {
            return Ok(());
        }
        Err(Complaint {
            code,
            message: format!("{} is not {}", quoted(text), self.article()),
            help: self.advice(text),
        })
    }

    /// Bounds of its length in bytes.
    pub(crate) fn length(self) -> (usize, usize) {
        match self {
            Self::Plain => (0, 4096),
            Self::Name | Self::Hostname | Self::PreciseHostname | Self::DnsName | Self::Origin => (1, 253),
            Self::Group => (0, 253),
            Self::Label => (1, 63),
            Self::IpAddress => (1, 45),
            Self::UrlPath | Self::PathAndQuery => (1, 1024),
            Self::FilePath => (1, 4095),
            Self::FieldName | Self::FieldNameOrAny | Self::CookieName => (1, 256),
            Self::FieldValue => (0, 4096),
            Self::Base64 => (0, 8192),
            Self::Network => (1, 49),
        }
    }

    /// What it is, for the reference page.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Plain => "text",
            Self::Name => "name",
            Self::Label => "name without dots",
            Self::Group => "API group",
            Self::Hostname => "hostname, `*.` allowed",
            Self::PreciseHostname | Self::DnsName => "hostname",
            Self::IpAddress => "IP address",
            Self::UrlPath => "URL path",
            Self::PathAndQuery => "URL path, `?` and a query allowed",
            Self::FilePath => "file path",
            Self::FieldName => "field name",
            Self::FieldValue => "field value",
            Self::Origin => "origin",
            Self::FieldNameOrAny => "field name or `*`",
            Self::CookieName => "cookie name",
            Self::Base64 => "base64",
            Self::Network => "network",
        }
    }

    fn article(self) -> String {
        let article = if matches!(self, Self::Group | Self::IpAddress | Self::Origin) {
            "an"
        } else {
            "a"
        };
        if self == Self::Base64 {
            return "base64".to_owned();
        }
        format!("{article} {}", self.noun().split(',').next().unwrap_or_default())
    }

    /// What would be right, from what was written where that can be seen.
    fn advice(self, text: &str) -> String {
        let lower = text.to_lowercase();
        if lower != text
            && !matches!(
                self,
                Self::UrlPath | Self::PathAndQuery | Self::FilePath | Self::Base64
            )
            && self.check(&lower).is_ok()
        {
            return format!("write it in lower case: {}", quoted(&lower));
        }
        let bare = text
            .trim()
            .trim_start_matches("http://")
            .trim_start_matches("https://")
            .trim_end_matches(['/', '.']);
        let bare = bare
            .rsplit_once(':')
            .filter(|_| !bare.contains('['))
            .map_or(bare, |(host, _)| host);
        if !matches!(self, Self::UrlPath | Self::PathAndQuery | Self::FilePath)
            && bare != text
            && self.check(bare).is_ok()
        {
            return format!("write {} alone", quoted(bare));
        }
        match self {
            Self::UrlPath | Self::PathAndQuery if !text.starts_with('/') => {
                format!("a path starts with `/`: {}", quoted(&format!("/{text}")))
            }
            Self::UrlPath => {
                "a path has no `//`, no `.` or `..` segment, no `%2F`, no `#`, `?` or space".to_owned()
            }
            Self::PathAndQuery => {
                "use letters, digits, and escapes such as `%20`; a path has no `#` and no space".to_owned()
            }
            Self::FilePath => "a file path starts with `/`".to_owned(),
            Self::Hostname => {
                "use lower-case letters, digits, `-` and `.`; `*.` may stand for the first label".to_owned()
            }
            Self::Name | Self::Group => {
                "use lower-case letters, digits, `-` and `.`; start and end with a letter or digit".to_owned()
            }
            Self::Label => {
                "use lower-case letters, digits and `-`; start and end with a letter or digit".to_owned()
            }
            Self::PreciseHostname | Self::DnsName => {
                "use letters, digits, `-` and `.`; for an address, use `ip`".to_owned()
            }
            Self::IpAddress => "write an address such as `127.0.0.1` or `::1`".to_owned(),
            Self::FieldName | Self::FieldNameOrAny | Self::CookieName => {
                "use letters, digits and ``!#$%&'*+-.^_`|~``".to_owned()
            }
            Self::FieldValue => "use printable characters, with spaces and tabs only between them".to_owned(),
            Self::Origin => {
                "write scheme, `://`, host, and a port if it is not the usual one: `https://*.example.com`"
                    .to_owned()
            }
            Self::Base64 => {
                "use `A` to `Z`, `a` to `z`, `0` to `9`, `+` and `/`; `=` fills the last four".to_owned()
            }
            Self::Network => match text.parse::<IpAddr>() {
                Ok(IpAddr::V4(_)) => format!("for this one address, write `{text}/32`"),
                Ok(IpAddr::V6(_)) => format!("for this one address, write `{text}/128`"),
                Err(_) => "write address and prefix length: `10.0.0.0/8`, `2001:db8::/32`".to_owned(),
            },
            Self::Plain => String::new(),
        }
    }

    /// The form as a regular expression of JSON Schema, where one can say it.
    pub(crate) fn pattern(self) -> Option<&'static str> {
        match self {
            Self::Name => Some(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"),
            Self::Label => Some(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"),
            Self::Hostname => {
                Some(r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
            }
            Self::PreciseHostname => {
                Some(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
            }
            Self::UrlPath | Self::PathAndQuery | Self::FilePath => Some("^/"),
            Self::FieldName | Self::FieldNameOrAny | Self::CookieName => {
                Some(r"^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$")
            }
            Self::Base64 => Some(r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"),
            Self::Network => Some(r"^[0-9a-fA-F.:]+/[0-9]{1,3}$"),
            _ => None,
        }
    }
}

/// One label of RFC 1123: letters and digits, `-` inside; `_` where DNS alone will see it.
fn label(text: &str, underscores: bool) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let (first, last) = (text.bytes().next(), text.bytes().last());
    let edge = |c: Option<u8>| c.is_some_and(|c| inner(c) || (underscores && c == b'_'));
    text.len() <= 63
        && edge(first)
        && edge(last)
        && text
            .bytes()
            .all(|c| inner(c) || c == b'-' || (underscores && c == b'_'))
}

fn dotted(text: &str, underscores: bool) -> bool {
    text.split('.').all(|part| label(part, underscores))
}

/// A hostname is not an address: a last label of digits alone would be read as one (WHATWG URL).
fn hostname(text: &str) -> bool {
    let last = text.rsplit('.').next().unwrap_or_default();
    dotted(text, false) && !last.bytes().all(|c| c.is_ascii_digit())
}

/// RFC 3986's `pchar` and `/`, in the Gateway API's normal form.
fn url_path(text: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&c);
    let lower = text.to_ascii_lowercase().replace("%2e", ".");
    let encoded = |(at, _): (usize, &str)| {
        text.as_bytes()
            .get(at + 1..at + 3)
            .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    };
    text.starts_with('/')
        && text.bytes().all(allowed)
        && text.match_indices('%').all(encoded)
        && !text.contains("//")
        && !lower.contains("%2f")
        && !lower.split('/').any(|segment| segment == "." || segment == "..")
}

/// What RFC 3986 lets a target be: an absolute path, and perhaps a query.
fn path_and_query(text: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%?".contains(&c);
    let escaped = |(at, _): (usize, &str)| {
        let hex = text.as_bytes().get(at + 1..at + 3);
        hex.is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    };
    text.starts_with('/') && text.bytes().all(allowed) && text.match_indices('%').all(escaped)
}

/// RFC 9110, 5.6.2.
pub(crate) fn token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c))
}

/// RFC 9110, 5.5: no control characters but the tab, and no white space around.
fn field_value(text: &str) -> bool {
    text.bytes().all(|c| c == b'\t' || (c >= b' ' && c != 0x7f)) && text.trim_matches([' ', '\t']) == text
}

fn origin(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let (host, port) = rest
        .rsplit_once(':')
        .map_or((rest, None), |(host, port)| (host, Some(port)));
    let host = host.strip_prefix("*.").unwrap_or(host);
    scheme
        .bytes()
        .all(|c| c.is_ascii_alphanumeric() || b"+-.".contains(&c))
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && (host == "*" || host.parse::<std::net::Ipv4Addr>().is_ok() || dotted(&host.to_lowercase(), false))
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}
