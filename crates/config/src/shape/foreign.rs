//! Kinds that are not read: those of the APIs that evenkeel speaks come later and are refused, those of
//! others are none of its business.

use super::{APOXY_GROUP, ENVOY_GROUP, GATEWAY_GROUP, OWN_GROUP};

/// The experimental group of the Gateway API.
pub(crate) const EXPERIMENTAL_GROUP: &str = "gateway.networking.x-k8s.io";

/// The groups of which every kind is known: one that is not is a mistake.
pub(crate) const OWN_GROUPS: [&str; 5] = [
    GATEWAY_GROUP,
    EXPERIMENTAL_GROUP,
    ENVOY_GROUP,
    OWN_GROUP,
    APOXY_GROUP,
];

/// A kind that is not supported yet, and what to do instead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaterKind {
    pub(crate) name: &'static str,
    pub(crate) instead: &'static str,
}

const fn later(name: &'static str, instead: &'static str) -> LaterKind {
    LaterKind { name, instead }
}

const TLS: &str = "TLS comes in a later release; terminate it in front, or remove the resource";
const STREAM: &str = "TCP and UDP come in a later release; remove the resource";
const GRPC: &str = "gRPC comes in a later release; remove the resource";
const SECURITY: &str =
    "who may send requests is not decided here yet; keep such routes off this gateway until it is";
const LISTENERS: &str = "write its listeners into the Gateway";
const DEPLOYMENT: &str = "it shapes how Envoy is deployed and set up; remove it";
const EXTENSION: &str = "extensions come in a later release; remove the resource";

/// Those of the groups in [`OWN_GROUPS`].
pub(crate) const LATER_KINDS: &[LaterKind] = &[
    later("GRPCRoute", GRPC),
    later("TLSRoute", TLS),
    later("TCPRoute", STREAM),
    later("UDPRoute", STREAM),
    later("ListenerSet", LISTENERS),
    later("XListenerSet", LISTENERS),
    later("XBackend", "declare a Backend of `evenkeel.dev/v1alpha1`"),
    later("XMesh", "meshes come in a later release; remove the resource"),
    later("XAccessPolicy", SECURITY),
    later(
        "BackendLBPolicy",
        "use a BackendTrafficPolicy with `loadBalancer`",
    ),
    later(
        "ReferencePolicy",
        "write a ReferenceGrant of `gateway.networking.k8s.io/v1`",
    ),
    later("EnvoyProxy", DEPLOYMENT),
    later(
        "EnvoyGateway",
        "it configures Envoy Gateway itself; `evenkeel run --help` has what it needs",
    ),
    later("SecurityPolicy", SECURITY),
    later("EnvoyExtensionPolicy", EXTENSION),
    later("WasmExtensionPolicy", EXTENSION),
    later(
        "EnvoyPatchPolicy",
        "there is no Envoy here whose configuration could be patched; remove the resource",
    ),
    later("HTTPRouteFilter", "use the filters of HTTPRoute"),
    later(
        "BandwidthLimitPolicy",
        "it comes in a later release; remove the resource",
    ),
    later("VirtualBackend", "declare a Backend"),
    later("AuthenticationFilter", SECURITY),
    later("RateLimitFilter", "use a BackendTrafficPolicy with `rateLimit`"),
    later("CorsPolicy", "use a filter of type `CORS`"),
];

/// The kind that is not supported yet, if it is one.
pub(crate) fn later_kind(name: &str) -> Option<&'static LaterKind> {
    LATER_KINDS.iter().find(|kind| kind.name == name)
}
