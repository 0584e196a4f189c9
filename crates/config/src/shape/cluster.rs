//! Kinds of a Kubernetes cluster that tell where things are: GatewayClass, Namespace, Service and
//! EndpointSlice. Most of their fields are for others and are not looked at.

use super::{
    API_VERSION, Choice, Field, Format, KIND, Kind, KindShape, META, ResourceKind, STATUS, Shape, field, word,
};

pub(crate) static GATEWAY_CLASS: KindShape = KindShape {
    kind: ResourceKind::GatewayClass,
    name: "GatewayClass",
    versions: &["gateway.networking.k8s.io/v1"],
    old_versions: &["gateway.networking.k8s.io/v1beta1"],
    doc: "Accepted, and of no effect: evenkeel serves every Gateway of its files, whatever its class.",
    example: include_str!("examples/gateway_class.yaml"),
    root: &Shape {
        name: "GatewayClass",
        fields: &[
            API_VERSION,
            KIND,
            META,
            field("spec", Kind::Object(&CLASS_SPEC), "The class.").required(),
            STATUS,
        ],
    },
};

static CLASS_SPEC: Shape = Shape {
    name: "the GatewayClass's spec",
    fields: &[
        field("controllerName", Kind::Text(Format::Plain), "Not used.").required(),
        field("description", Kind::Text(Format::Plain), "Not used."),
        field("parametersRef", Kind::Anything, "").ignored(
            "what it refers to shapes what a controller deploys; here the process is already running",
        ),
    ],
};

pub(crate) static NAMESPACE: KindShape = KindShape {
    kind: ResourceKind::Namespace,
    name: "Namespace",
    versions: &["v1"],
    old_versions: &[],
    doc: "Its labels are what a listener's `allowedRoutes.namespaces.selector` looks at. Namespaces need not be \
          declared: one that is not has the label `kubernetes.io/metadata.name` alone.",
    example: include_str!("examples/namespace.yaml"),
    root: &Shape {
        name: "Namespace",
        fields: &[
            API_VERSION,
            KIND,
            META,
            field("spec", Kind::Anything, "Not used."),
            STATUS,
        ],
    },
};

pub(crate) static SERVICE: KindShape = KindShape {
    kind: ResourceKind::Service,
    name: "Service",
    versions: &["v1"],
    old_versions: &[],
    doc: "What a route may refer to by name and port. Its endpoints are those of the EndpointSlices in the same \
          files, else its `clusterIP`, unless `--backends` says where it is.",
    example: include_str!("examples/service.yaml"),
    root: &Shape {
        name: "Service",
        fields: &[
            API_VERSION,
            KIND,
            META,
            field("spec", Kind::Object(&SERVICE_SPEC), "The Service."),
            STATUS,
        ],
    },
};

/// A field of Kubernetes that nothing here depends on.
const fn not_used(name: &'static str) -> Field {
    field(name, Kind::Anything, "Not used.")
}

static SERVICE_SPEC: Shape = Shape {
    name: "the Service's spec",
    fields: &[
        field(
            "ports",
            Kind::Objects {
                of: &SERVICE_PORT,
                least: 0,
                most: 256,
            },
            "Its ports.",
        ),
        field(
            "clusterIP",
            Kind::Text(Format::Plain),
            "Its one address in the cluster; `None` if it has no such.",
        ),
        field("type", Kind::Choice(SERVICE_TYPES), "Its type.").default("`ClusterIP`"),
        field(
            "externalName",
            Kind::Text(Format::DnsName),
            "The name that stands for it, of `type: ExternalName`. A route cannot refer to such a Service: \
             declare a Backend.",
        ),
        not_used("selector"),
        not_used("clusterIPs"),
        not_used("externalIPs"),
        not_used("sessionAffinity"),
        not_used("sessionAffinityConfig"),
        not_used("loadBalancerIP"),
        not_used("loadBalancerSourceRanges"),
        not_used("loadBalancerClass"),
        not_used("allocateLoadBalancerNodePorts"),
        not_used("externalTrafficPolicy"),
        not_used("internalTrafficPolicy"),
        not_used("healthCheckNodePort"),
        not_used("publishNotReadyAddresses"),
        not_used("ipFamilies"),
        not_used("ipFamilyPolicy"),
        not_used("trafficDistribution"),
    ],
};

const SERVICE_TYPES: &[Choice] = &[
    word("ClusterIP"),
    word("NodePort"),
    word("LoadBalancer"),
    word("ExternalName"),
];

static SERVICE_PORT: Shape = Shape {
    name: "the Service's port",
    fields: &[
        field(
            "name",
            Kind::Text(Format::Plain),
            "Finds the port of the same name in the EndpointSlices.",
        ),
        field(
            "port",
            Kind::Int(1, 65_535),
            "The port that a route's `backendRefs` names.",
        )
        .required(),
        field(
            "targetPort",
            Kind::Anything,
            "The endpoints' port, as number or name, where EndpointSlices have none of that name.",
        ),
        field("protocol", Kind::Choice(PORT_PROTOCOLS), "Only `TCP` is used.").default("`TCP`"),
        field(
            "appProtocol",
            Kind::Text(Format::Plain),
            "Not used: HTTP/1.1 is spoken.",
        ),
        not_used("nodePort"),
    ],
};

const PORT_PROTOCOLS: &[Choice] = &[word("TCP"), word("UDP"), word("SCTP")];

pub(crate) static ENDPOINT_SLICE: KindShape = KindShape {
    kind: ResourceKind::EndpointSlice,
    name: "EndpointSlice",
    versions: &["discovery.k8s.io/v1"],
    old_versions: &["discovery.k8s.io/v1beta1"],
    doc: "Endpoints of the Service that its label `kubernetes.io/service-name` names. An endpoint that is not \
          ready is left out.",
    example: include_str!("examples/endpoint_slice.yaml"),
    root: &Shape {
        name: "EndpointSlice",
        fields: &[
            API_VERSION,
            KIND,
            META,
            field(
                "addressType",
                Kind::Choice(ADDRESS_TYPES),
                "What its addresses are.",
            )
            .required(),
            field(
                "endpoints",
                Kind::Objects {
                    of: &SLICE_ENDPOINT,
                    least: 0,
                    most: 1000,
                },
                "Its endpoints.",
            ),
            field(
                "ports",
                Kind::Objects {
                    of: &SLICE_PORT,
                    least: 0,
                    most: 100,
                },
                "The ports of each of them.",
            ),
        ],
    },
};

const ADDRESS_TYPES: &[Choice] = &[word("IPv4"), word("IPv6"), word("FQDN")];

static SLICE_ENDPOINT: Shape = Shape {
    name: "the endpoint",
    fields: &[
        field(
            "addresses",
            Kind::Texts {
                of: Format::Plain,
                least: 1,
                most: 100,
            },
            "Its addresses; the first is used.",
        )
        .required(),
        field("conditions", Kind::Object(&CONDITIONS), "Its state."),
        not_used("deprecatedTopology"),
        not_used("hints"),
        not_used("hostname"),
        not_used("nodeName"),
        not_used("targetRef"),
        not_used("zone"),
        not_used("topology"),
    ],
};

static CONDITIONS: Shape = Shape {
    name: "`conditions`",
    fields: &[
        field("ready", Kind::Bool, "Whether it takes requests.").default("`true`"),
        not_used("serving"),
        not_used("terminating"),
    ],
};

static SLICE_PORT: Shape = Shape {
    name: "the EndpointSlice's port",
    fields: &[
        field(
            "name",
            Kind::Text(Format::Plain),
            "That of the Service's port that it stands for.",
        ),
        field("port", Kind::Int(1, 65_535), "The port."),
        field("protocol", Kind::Choice(PORT_PROTOCOLS), "Only `TCP` is used.").default("`TCP`"),
        not_used("appProtocol"),
    ],
};
