//! The names that a proxy treats specially, and sets of them.

use crate::bytes::is_word;

/// Names that a proxy treats specially, recognised once while parsing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each is the field it is named after")]
pub enum Known {
    Connection,
    ContentLength,
    TransferEncoding,
    Host,
    Te,
    Trailer,
    Upgrade,
    KeepAlive,
    ProxyConnection,
    ProxyAuthenticate,
    ProxyAuthorization,
    Expect,
    Via,
    MaxForwards,
    Date,
    Server,
    XForwardedFor,
    XForwardedProto,
    XForwardedHost,
    XRequestId,
    XEnvoyUpstreamServiceTime,
    XEnvoyAttemptCount,
    IdempotencyKey,
    UserAgent,
    Http2Settings,
    Origin,
    /// A statement about the client, or about what it asked for, that only a trusted proxy may make.
    /// Many names are one to us: `Forwarded`, `Proxy`, `Front-End-Https`, `X-Real-Ip`, `X-Scheme`,
    /// `X-Url-Scheme`, and all that begin with `X-Forwarded`, `X-Envoy-`, `X-Original-` or `X-Rewrite-`
    /// and have no entry of their own here.
    Claim,
    /// A name that some servers read as one that we write, drop or frame by, since they turn every mark
    /// of a name into `_` (CGI, WSGI): `X_Forwarded_For`, `Transfer.Encoding`.
    Alias,
    Other,
}

impl Known {
    /// What a name is to us, whatever its case.
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        match Self::of_plain(name) {
            Self::Other if !name.iter().all(|&byte| is_plain(byte)) => Self::of_marked(name),
            known => known,
        }
    }

    /// As [`Known::of`] for a name of letters, digits and hyphens, without a call for most: by length and
    /// first letter, then one comparison.
    #[inline(always)]
    pub(crate) fn of_plain(name: &[u8]) -> Self {
        let Some(first) = name.first() else {
            return Self::Other;
        };
        let known = match (name.len(), first | 0x20) {
            (2, b't') => Self::Te.if_word(name, b"te"),
            (3, b'v') => Self::Via.if_word(name, b"via"),
            (4, b'h') => Self::Host.if_word(name, b"host"),
            (4, b'd') => Self::Date.if_word(name, b"date"),
            (6, b'e') => Self::Expect.if_word(name, b"expect"),
            (6, b's') => Self::Server.if_word(name, b"server"),
            (6, b'o') => Self::Origin.if_word(name, b"origin"),
            (7, b't') => Self::Trailer.if_word(name, b"trailer"),
            (7, b'u') => Self::Upgrade.if_word(name, b"upgrade"),
            (10, b'c') => Self::Connection.if_word(name, b"connection"),
            (10, b'k') => Self::KeepAlive.if_word(name, b"keep-alive"),
            (10, b'u') => Self::UserAgent.if_word(name, b"user-agent"),
            (12, b'm') => Self::MaxForwards.if_word(name, b"max-forwards"),
            (12, b'x') => Self::XRequestId.if_word(name, b"x-request-id"),
            (14, b'c') => Self::ContentLength.if_word(name, b"content-length"),
            (14, b'h') => Self::Http2Settings.if_word(name, b"http2-settings"),
            (15, b'x') => Self::XForwardedFor.if_word(name, b"x-forwarded-for"),
            (15, b'i') => Self::IdempotencyKey.if_word(name, b"idempotency-key"),
            (16, b'x') => Self::XForwardedHost.if_word(name, b"x-forwarded-host"),
            (16, b'p') => Self::ProxyConnection.if_word(name, b"proxy-connection"),
            (17, b't') => Self::TransferEncoding.if_word(name, b"transfer-encoding"),
            (17, b'x') => Self::XForwardedProto.if_word(name, b"x-forwarded-proto"),
            (18, b'p') => Self::ProxyAuthenticate.if_word(name, b"proxy-authenticate"),
            (19, b'p') => Self::ProxyAuthorization.if_word(name, b"proxy-authorization"),
            (21, b'x') => Self::XEnvoyAttemptCount.if_word(name, b"x-envoy-attempt-count"),
            (29, b'x') => Self::XEnvoyUpstreamServiceTime.if_word(name, b"x-envoy-upstream-service-time"),
            (5, b'p') => Self::Claim.if_word(name, b"proxy"),
            (9, b'f') => Self::Claim.if_word(name, b"forwarded"),
            (15, b'f') => Self::Claim.if_word(name, b"front-end-https"),
            _ => Self::Other,
        };
        if known == Self::Other && first | 0x20 == b'x' {
            return Self::of_extension(name);
        }
        known
    }

    /// A name that begins with `x` and is none of its own.
    #[inline(never)]
    fn of_extension(name: &[u8]) -> Self {
        let begins = |prefix: &[u8]| {
            let begin = name.get(..prefix.len());
            begin.is_some_and(|begin| begin.eq_ignore_ascii_case(prefix))
        };
        let whole = |word: &[u8]| name.eq_ignore_ascii_case(word);
        let claims = begins(b"x-forwarded-")
            || begins(b"x-envoy-")
            || begins(b"x-original-")
            || begins(b"x-rewrite-")
            || whole(b"x-real-ip")
            || whole(b"x-forwarded")
            || whole(b"x-scheme")
            || whole(b"x-url-scheme");
        if claims { Self::Claim } else { Self::Other }
    }

    /// A name with marks other than hyphens, of which no name has any that we know.
    #[cold]
    fn of_marked(name: &[u8]) -> Self {
        let plain = |&byte: &u8| if is_plain(byte) { byte } else { b'-' };
        let meant = Self::of_plain(&name.iter().map(plain).collect::<Vec<_>>());
        match meant {
            Self::Other | Self::UserAgent | Self::IdempotencyKey => Self::Other,
            _ => Self::Alias,
        }
    }

    /// Whether it stands for one name. Otherwise names that are the same to us are yet to be compared.
    #[inline]
    pub(crate) const fn is_one_name(self) -> bool {
        !matches!(self, Self::Other | Self::Claim | Self::Alias)
    }

    /// This one if the name is `lower`, whatever its case.
    #[inline(always)]
    fn if_word<const N: usize>(self, name: &[u8], lower: &[u8; N]) -> Self {
        if is_word(name, lower) { self } else { Self::Other }
    }

    /// The name in lower case; empty for those that stand for many.
    #[inline]
    #[must_use]
    pub const fn name(self) -> &'static str {
        let start = self.line_start();
        start.split_at(start.len() - 2).0
    }

    /// The name in lower case, and what stands between it and a value.
    #[inline]
    pub(crate) const fn line_start(self) -> &'static str {
        match self {
            Self::Connection => "connection: ",
            Self::ContentLength => "content-length: ",
            Self::TransferEncoding => "transfer-encoding: ",
            Self::Host => "host: ",
            Self::Te => "te: ",
            Self::Trailer => "trailer: ",
            Self::Upgrade => "upgrade: ",
            Self::KeepAlive => "keep-alive: ",
            Self::ProxyConnection => "proxy-connection: ",
            Self::ProxyAuthenticate => "proxy-authenticate: ",
            Self::ProxyAuthorization => "proxy-authorization: ",
            Self::Expect => "expect: ",
            Self::Via => "via: ",
            Self::MaxForwards => "max-forwards: ",
            Self::Date => "date: ",
            Self::Server => "server: ",
            Self::XForwardedFor => "x-forwarded-for: ",
            Self::XForwardedProto => "x-forwarded-proto: ",
            Self::XForwardedHost => "x-forwarded-host: ",
            Self::XRequestId => "x-request-id: ",
            Self::XEnvoyUpstreamServiceTime => "x-envoy-upstream-service-time: ",
            Self::XEnvoyAttemptCount => "x-envoy-attempt-count: ",
            Self::IdempotencyKey => "idempotency-key: ",
            Self::UserAgent => "user-agent: ",
            Self::Http2Settings => "http2-settings: ",
            Self::Origin => "origin: ",
            Self::Claim | Self::Alias | Self::Other => ": ",
        }
    }
}

/// A set of known names, one bit each. [`Known::Other`] is never a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KnownSet(u32);

impl KnownSet {
    /// The set of none.
    pub const EMPTY: Self = Self(0);

    /// The set of these.
    #[must_use]
    pub const fn of(members: &[Known]) -> Self {
        let mut set = Self::EMPTY;
        let mut at = 0;
        while at < members.len() {
            set.insert(members[at]);
            at += 1;
        }
        set
    }

    /// Whether the name is a member.
    #[inline]
    #[must_use]
    pub const fn contains(self, known: Known) -> bool {
        self.0 >> known as u32 & 1 != 0
    }

    /// Adds a name.
    pub const fn insert(&mut self, known: Known) {
        self.0 |= Self::bit(known);
    }

    /// Takes a name out.
    pub const fn remove(&mut self, known: Known) {
        self.0 &= !Self::bit(known);
    }

    /// All that are in this set or the other.
    #[inline]
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether some name is in both.
    #[inline]
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    const fn bit(known: Known) -> u32 {
        (1 << known as u32) & !(1 << Known::Other as u32)
    }
}

/// Whether servers that turn every mark into one leave the byte as it is, or may: letters, digits, hyphens.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

/// Whether two names may be one to a server: but for case, and for marks in place of the hyphens of `name`.
pub(crate) fn reads_as(sent: &[u8], name: &[u8]) -> bool {
    let alike = |(sent, name): (&u8, &u8)| {
        sent.eq_ignore_ascii_case(name) || (!name.is_ascii_alphanumeric() && !sent.is_ascii_alphanumeric())
    };
    sent.len() == name.len() && sent.iter().zip(name).all(alike)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Known; 26] = [
        Known::Connection,
        Known::ContentLength,
        Known::TransferEncoding,
        Known::Host,
        Known::Te,
        Known::Trailer,
        Known::Upgrade,
        Known::KeepAlive,
        Known::ProxyConnection,
        Known::ProxyAuthenticate,
        Known::ProxyAuthorization,
        Known::Expect,
        Known::Via,
        Known::MaxForwards,
        Known::Date,
        Known::Server,
        Known::XForwardedFor,
        Known::XForwardedProto,
        Known::XForwardedHost,
        Known::XRequestId,
        Known::XEnvoyUpstreamServiceTime,
        Known::XEnvoyAttemptCount,
        Known::IdempotencyKey,
        Known::UserAgent,
        Known::Http2Settings,
        Known::Origin,
    ];

    #[test]
    fn every_known_name_is_recognised_in_any_case_and_no_neighbour_is() {
        for known in ALL {
            assert_eq!(Known::of(known.name().as_bytes()), known);
            assert_eq!(Known::of(known.name().to_uppercase().as_bytes()), known);
            assert_eq!(
                Known::of(known.name().replace('-', "_").as_bytes()) == known,
                !known.name().contains('-')
            );
            let neighbour = Known::of(format!("{}s", known.name()).as_bytes());
            assert!(matches!(neighbour, Known::Other | Known::Claim), "{known:?}");
            assert!(known.is_one_name());
        }
        assert_eq!(Known::of(b""), Known::Other);
    }

    #[test]
    fn what_only_a_trusted_proxy_may_say_is_one_class_and_what_reads_like_it_another() {
        let claims = [
            "Forwarded",
            "proxy",
            "X-Real-IP",
            "x-scheme",
            "X-Forwarded-Client-Cert",
            "X-Forwarded-Port",
            "x-forwarded-prefix",
            "X-Forwarded-Ssl",
            "X-Forwarded-Uri",
            "X-Forwarded",
            "X-ENVOY-Internal",
            "x-envoy-upstream-rq-timeout-ms",
            "X-Original-URL",
            "x-rewrite-url",
        ];
        for name in claims {
            assert_eq!(Known::of(name.as_bytes()), Known::Claim, "{name}");
        }
        let aliases = [
            "X_Forwarded_For",
            "x.forwarded.for",
            "X-Forwarded_Proto",
            "x_real-ip",
            "X!Envoy~Internal",
            "Transfer_Encoding",
            "content.length",
            "Front_End_Https",
            "X_Request_Id",
        ];
        for name in aliases {
            assert_eq!(Known::of(name.as_bytes()), Known::Alias, "{name}");
        }
        let others = [
            "Accept",
            "x-user",
            "x_user",
            "X-Forward",
            "x-originals",
            "user_agent",
            "!#$%&'*+-.^_`|~",
            "proxies",
            "x1forwarded1for",
        ];
        for name in others {
            assert_eq!(Known::of(name.as_bytes()), Known::Other, "{name}");
        }
    }

    #[test]
    fn a_name_reads_as_another_whatever_its_marks() {
        assert!(reads_as(b"X_User", b"x-user") && reads_as(b"x.uSer", b"X-User") && reads_as(b"a_b", b"a_b"));
        assert!(reads_as(b"a-b", b"a_b"));
        assert!(!reads_as(b"X1User", b"x-user") && !reads_as(b"xuser", b"x-user"));
    }

    #[test]
    fn a_set_holds_what_was_put_in_and_never_other() {
        let mut set = KnownSet::of(&[Known::Host, Known::Other]);
        assert!(set.contains(Known::Host) && !set.contains(Known::Other) && !set.contains(Known::Te));
        set.insert(Known::Te);
        assert!(set.contains(Known::Te));
        let other = KnownSet::of(&[Known::Te, Known::Via]);
        assert!(set.intersects(other) && !set.intersects(KnownSet::of(&[Known::Via])));
        assert_eq!(
            set.union(other),
            KnownSet::of(&[Known::Host, Known::Te, Known::Via])
        );
    }
}
