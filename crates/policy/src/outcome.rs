//! Why an exchange ended, and what each party is told: status, flag, details and body are chosen
//! here and nowhere else. Flags, details and bodies are Envoy's, so that dashboards carry over.


/// Envoy's short response flags, the ones that evenkeel can raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flag {
    /// NoRouteFound.
    NR,
    /// NoClusterFound: the route names a backend that does not exist.
    NC,
    /// NoHealthyUpstream.
    UH,
    /// UpstreamConnectionFailure.
    UF,
    /// UpstreamOverflow.
    UO,
    /// UpstreamRequestTimeout.
    UT,
    /// UpstreamConnectionTermination: a FIN before the response.
    UC,
    /// UpstreamRemoteReset: an RST before the response.
    UR,
    /// UpstreamRetryLimitExceeded.
    URX,
    /// UpstreamProtocolError.
    UPE,
    /// DownstreamConnectionTermination.
    DC,
    /// DownstreamProtocolError.
    DPE,
    /// StreamIdleTimeout.
    SI,
    /// LocalReset.
    LR,
    /// DnsResolutionFailed.
    DF,
}
