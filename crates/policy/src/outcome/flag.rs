//! Envoy's short response flags, and sets of them.

/// Declares the flags: each once, in the order in which several are written.
macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $long:literal),* $(,)?) => {
        /// Envoy's short response flags, the ones that evenkeel raises.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Flag {
            $($(#[$doc])* $name),*
        }

        impl Flag {
            /// Every flag, in the order in which several are written.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its short form, as logs have it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name)),*
                }
            }

            /// Envoy's long form.
            #[must_use]
            pub const fn long(self) -> &'static str {
                match self {
                    $(Self::$name => $long),*
                }
            }
        }
    };
}

flags! {
    /// No route matches.
    NR = "NoRouteFound",
    /// The route names no backend, or one that does not exist.
    NC = "NoClusterFound",
    /// No endpoint is in service.
    UH = "NoHealthyUpstream",
    /// The connection to the endpoint could not be opened.
    UF = "UpstreamConnectionFailure",
    /// A limit on connections, or on waiting or running requests, was met.
    UO = "UpstreamOverflow",
    /// The request or its attempt took longer than its timeout.
    UT = "UpstreamRequestTimeout",
    /// The endpoint ended the connection before its response was complete, by FIN or RST.
    UC = "UpstreamConnectionTermination",
    /// evenkeel would have sent the request again, but had done so as often as it may.
    URX = "UpstreamRetryLimitExceeded",
    /// What the endpoint sent is not the HTTP that evenkeel speaks.
    UPE = "UpstreamProtocolError",
    /// The client left.
    DC = "DownstreamConnectionTermination",
    /// The client took its response so slowly that the request took longer than it may.
    DT = "DurationTimeout",
    /// What the client sent is malformed, ambiguous, too large or too late.
    DPE = "DownstreamProtocolError",
    /// No byte moved for as long as the stream may idle.
    SI = "StreamIdleTimeout",
    /// evenkeel ended the exchange: a drain, or a bug of its own.
    LR = "LocalReset",
    /// The backend's name has no address.
    DF = "DnsResolutionFailed",
    /// The route's rate limit was met.
    RL = "RateLimited",
}

/// Some flags; displayed as `UC,URX`, or `-` for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlagSet(u32);

const _: () = assert!(
    Flag::ALL.len() <= u32::BITS as usize,
    "each flag needs a bit of its own"
);

impl FlagSet {
    /// None.
    pub const NONE: Self = Self(0);

    /// This set and one more flag.
    #[must_use]
    pub const fn with(self, flag: Flag) -> Self {
        Self(self.0 | 1 << flag as u32)
    }

    /// Whether the flag is in it.
    #[must_use]
    pub const fn has(self, flag: Flag) -> bool {
        self.0 & 1 << flag as u32 != 0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Adds a flag.
    pub const fn insert(&mut self, flag: Flag) {
        *self = self.with(flag);
    }

    /// Its flags, in their order.
    pub fn iter(self) -> impl Iterator<Item = Flag> {
        Flag::ALL.iter().copied().filter(move |&flag| self.has(flag))
    }
}

impl From<Option<Flag>> for FlagSet {
    fn from(flag: Option<Flag>) -> Self {
        flag.map_or(Self::NONE, |flag| Self::NONE.with(flag))
    }
}

impl std::ops::BitOrAssign for FlagSet {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl std::fmt::Display for FlagSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 == 0 {
            return f.write_str("-");
        }
        for (at, flag) in self.iter().enumerate() {
            f.write_str(if at > 0 { "," } else { "" })?;
            f.write_str(flag.as_str())?;
        }
        Ok(())
    }
}
