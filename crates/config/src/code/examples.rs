//! An example for each kind of mistake: one that is wrong, and one that is right. A test reads them all.

use super::Code;

/// Where an example stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A file of its own.
    Alone,
    /// A document beside the others of a configuration.
    Beside,
    /// Lines of the `spec` of a kind.
    Spec(&'static str),
    /// Lines of a rule of an HTTPRoute.
    Rule,
}

/// What to write, and what not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Example {
    pub(crate) place: Place,
    pub(crate) wrong: &'static str,
    pub(crate) right: &'static str,
}

const fn in_rule(wrong: &'static str, right: &'static str) -> Example {
    at(Place::Rule, wrong, right)
}

const fn in_spec(kind: &'static str, wrong: &'static str, right: &'static str) -> Example {
    at(Place::Spec(kind), wrong, right)
}

const fn at(place: Place, wrong: &'static str, right: &'static str) -> Example {
    Example { place, wrong, right }
}

impl Place {
    /// The words before an example.
    pub(crate) fn words(self) -> String {
        match self {
            Self::Alone => "a file".to_owned(),
            Self::Beside => "a document of the configuration".to_owned(),
            Self::Spec(kind) => format!("the `spec` of a {kind}"),
            Self::Rule => "a rule of an HTTPRoute".to_owned(),
        }
    }

    /// A whole configuration with the example in its place.
    #[cfg(test)]
    pub(crate) fn whole(self, example: &str) -> String {
        let indented = |by: &str| {
            example
                .lines()
                .map(|line| format!("{by}{line}\n"))
                .collect::<String>()
        };
        let gateway =
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: edge}\nspec:\n";
        let backend = "---\napiVersion: evenkeel.dev/v1alpha1\nkind: Backend\nmetadata: {name: api}\nspec:\n";
        let route =
            "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: web}\nspec:\n";
        let listeners = "  listeners:\n  - {name: http, port: 80, protocol: HTTP}\n".to_owned();
        let endpoints = "  endpoints:\n  - ip: {address: 10.0.0.1, port: 80}\n".to_owned();
        let rules = "  rules:\n  - backendRefs: [{name: api}]\n".to_owned();
        let of = |kind: &'static str, usual: String| {
            if self == Self::Spec(kind) {
                indented("  ")
            } else {
                usual
            }
        };
        let policy = |kind: &str, target: &str| {
            format!(
                "---\napiVersion: evenkeel.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: policy}}\nspec:\n  \
                 targetRefs: [{{kind: {target}}}]\n{}",
                indented("  ")
            )
        };
        let rules = match self {
            Self::Rule => format!("  rules:\n  - name: only\n{}", indented("    ")),
            _ => of("HTTPRoute", rules),
        };
        let more = match self {
            Self::Alone => return example.to_owned(),
            Self::Beside => format!("---\n{example}"),
            Self::Spec(kind @ "BackendTrafficPolicy") => policy(kind, "Backend, name: api"),
            Self::Spec(kind @ "ClientTrafficPolicy") => policy(kind, "Gateway, name: edge"),
            Self::Spec(_) | Self::Rule => String::new(),
        };
        format!(
            "{gateway}{}{backend}{}{route}{rules}{more}",
            of("Gateway", listeners),
            of("Backend", endpoints)
        )
    }
}

impl Code {
    /// An example of it; `None` where no few lines show it.
    pub(crate) fn example(self) -> Option<Example> {
        Some(match self {
            Self::Syntax => at(Place::Alone, "kind: [Gateway", "kind: Gateway"),
            Self::DuplicateKey => in_rule(
                "backendRefs: [{name: api}]\nbackendRefs: [{name: api}]",
                "backendRefs: [{name: api}]",
            ),
            Self::Tab => at(Place::Alone, "spec:\n\tlisteners: []", "spec:\n  listeners: []"),
            Self::TooLarge => return None,
            Self::NotAResource => at(
                Place::Beside,
                "listen: 8080",
                "apiVersion: evenkeel.dev/v1alpha1\nkind: Telemetry\nmetadata: {name: logs}\nspec: {}",
            ),
            Self::UnknownKind => at(
                Place::Beside,
                "apiVersion: evenkeel.dev/v1alpha1\nkind: Telemetri\nmetadata: {name: logs}\nspec: {}",
                "apiVersion: evenkeel.dev/v1alpha1\nkind: Telemetry\nmetadata: {name: logs}\nspec: {}",
            ),
            Self::UnknownField => in_rule("backendRef: [{name: api}]", "backendRefs: [{name: api}]"),
            Self::WrongType => in_rule("backendRefs: {name: api}", "backendRefs:\n- name: api"),
            Self::Missing => in_rule(
                "backendRefs: [{weight: 1}]",
                "backendRefs: [{name: api, weight: 1}]",
            ),
            Self::OutOfRange => in_spec(
                "Backend",
                "endpoints: [{ip: {address: 10.0.0.1, port: 99999}}]",
                "endpoints: [{ip: {address: 10.0.0.1, port: 9999}}]",
            ),
            Self::NotAllowed => in_rule(
                "matches: [{method: GETT}]\nbackendRefs: [{name: api}]",
                "matches: [{method: GET}]\nbackendRefs: [{name: api}]",
            ),
            Self::BadDuration => in_rule(
                "timeouts: {request: 1.5s}\nbackendRefs: [{name: api}]",
                "timeouts: {request: 1500ms}\nbackendRefs: [{name: api}]",
            ),
            Self::BadName => in_rule("backendRefs: [{name: API}]", "backendRefs: [{name: api}]"),
            Self::BadHostname => in_spec(
                "HTTPRoute",
                "hostnames: ['https://Shop.example.com']\nrules: [{backendRefs: [{name: api}]}]",
                "hostnames: [shop.example.com]\nrules: [{backendRefs: [{name: api}]}]",
            ),
            Self::BadPath => in_rule(
                "matches: [{path: {value: shop}}]\nbackendRefs: [{name: api}]",
                "matches: [{path: {value: /shop}}]\nbackendRefs: [{name: api}]",
            ),
            Self::BadRegex => in_rule(
                "matches: [{path: {type: RegularExpression, value: '/(a'}}]\nbackendRefs: [{name: api}]",
                "matches: [{path: {type: RegularExpression, value: '/(a|b)'}}]\nbackendRefs: [{name: api}]",
            ),
            Self::BadHeader => in_rule(
                "matches: [{headers: [{name: 'my header', value: a}]}]\nbackendRefs: [{name: api}]",
                "matches: [{headers: [{name: my-header, value: a}]}]\nbackendRefs: [{name: api}]",
            ),
            Self::BadAddress => in_spec(
                "Backend",
                "endpoints: [{ip: {address: localhost, port: 80}}]",
                "endpoints: [{ip: {address: 127.0.0.1, port: 80}}]",
            ),
            Self::BadQuantity => in_spec(
                "ClientTrafficPolicy",
                "headers: {maxBytes: 32kB}",
                "headers: {maxBytes: 32Ki}",
            ),
            Self::BadOrigin => in_rule(
                "filters: [{type: CORS, cors: {allowOrigins: [example.com]}}]\nbackendRefs: [{name: api}]",
                "filters: [{type: CORS, cors: {allowOrigins: ['https://example.com']}}]\nbackendRefs: [{name: api}]",
            ),
            Self::Exclusive => in_spec(
                "Backend",
                "endpoints: [{ip: {address: 10.0.0.1, port: 80}, fqdn: {hostname: a.test, port: 80}}]",
                "endpoints: [{fqdn: {hostname: a.test, port: 80}}]",
            ),
            Self::DuplicateName => in_spec(
                "Gateway",
                "listeners: [{name: a, port: 80, protocol: HTTP}, {name: a, port: 81, protocol: HTTP}]",
                "listeners: [{name: a, port: 80, protocol: HTTP}, {name: b, port: 81, protocol: HTTP}]",
            ),
            Self::Later => in_spec(
                "Gateway",
                "listeners: [{name: a, port: 443, protocol: TLS}]",
                "listeners: [{name: a, port: 80, protocol: HTTP}]",
            ),
            Self::Inconsistent => in_rule(
                "timeouts: {request: 1s, backendRequest: 2s}\nbackendRefs: [{name: api}]",
                "timeouts: {request: 2s, backendRequest: 1s}\nbackendRefs: [{name: api}]",
            ),
            Self::FramingField => in_rule(
                "filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [Content-Length]}}]\n\
                 backendRefs: [{name: api}]",
                "filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [X-Debug]}}]\n\
                 backendRefs: [{name: api}]",
            ),
            Self::BadVariable => in_rule(
                "filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Ip, value: '%CLIENT_IP%'}]}}]\n\
                 backendRefs: [{name: api}]",
                "filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Ip, value: \
                 '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%'}]}}]\nbackendRefs: [{name: api}]",
            ),
            Self::BadBase64 => in_spec(
                "BackendTrafficPolicy",
                "healthCheck: {active: {type: TCP, tcp: {send: {type: Binary, binary: '%%'}}}}",
                "healthCheck: {active: {type: TCP, tcp: {send: {type: Binary, binary: cGluZw==}}}}",
            ),
            _ => return self.example_of_references(),
        })
    }

    /// Those about what refers to what, and the warnings.
    fn example_of_references(self) -> Option<Example> {
        const GRANT: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: b}\nspec:\n  rules: \
                             [{backendRefs: [{name: api}]}]";
        Some(match self {
            Self::NoGateway => at(
                Place::Alone,
                "apiVersion: evenkeel.dev/v1alpha1\nkind: Telemetry\nmetadata: {name: logs}\nspec: {}",
                "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: edge}\nspec:\n  \
                 listeners: [{name: http, port: 80, protocol: HTTP}]",
            ),
            Self::GatewayNotFound => in_spec(
                "HTTPRoute",
                "parentRefs: [{name: egde}]\nrules: [{backendRefs: [{name: api}]}]",
                "parentRefs: [{name: edge}]\nrules: [{backendRefs: [{name: api}]}]",
            ),
            Self::BackendNotFound => in_rule("backendRefs: [{name: appi}]", "backendRefs: [{name: api}]"),
            Self::ServiceInFile => in_rule(
                "backendRefs: [{name: api, port: 80}]",
                "backendRefs: [{group: evenkeel.dev, kind: Backend, name: api}]",
            ),
            Self::NotGranted => at(
                Place::Beside,
                "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: b}\nspec:\n  rules: \
                 [{backendRefs: [{name: far, namespace: other}]}]\n---\napiVersion: evenkeel.dev/v1alpha1\nkind: \
                 Backend\nmetadata: {name: far, namespace: other}\nspec:\n  endpoints: [{ip: {address: 10.0.0.2, \
                 port: 80}}]",
                GRANT,
            ),
            Self::TargetNotFound => at(
                Place::Beside,
                "apiVersion: evenkeel.dev/v1alpha1\nkind: ClientTrafficPolicy\nmetadata: {name: c}\nspec:\n  \
                 targetRefs: [{kind: Gateway, name: edg}]",
                "apiVersion: evenkeel.dev/v1alpha1\nkind: ClientTrafficPolicy\nmetadata: {name: c}\nspec:\n  \
                 targetRefs: [{kind: Gateway, name: edge}]",
            ),
            Self::PolicyConflict => at(
                Place::Beside,
                "apiVersion: evenkeel.dev/v1alpha1\nkind: ClientTrafficPolicy\nmetadata: {name: c}\nspec:\n  \
                 targetRefs: [{kind: Gateway, name: edge}, {kind: Gateway, name: edge}]",
                "apiVersion: evenkeel.dev/v1alpha1\nkind: ClientTrafficPolicy\nmetadata: {name: c}\nspec:\n  \
                 targetRefs: [{kind: Gateway, name: edge}]",
            ),
            Self::NoParent => at(
                Place::Beside,
                "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: second}\nspec:\n  \
                 listeners: [{name: http, port: 81, protocol: HTTP}]",
                "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: b}\nspec:\n  \
                 parentRefs: [{name: edge}]\n  rules: [{backendRefs: [{name: api}]}]",
            ),
            Self::NotAccepted => in_spec(
                "Gateway",
                "listeners: [{name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: None}}}]",
                "listeners: [{name: a, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}]",
            ),
            Self::ListenerClash => in_spec(
                "Gateway",
                "listeners: [{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP}]",
                "listeners: [{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP, hostname: b.test}]",
            ),
            Self::SharedAddress => at(
                Place::Beside,
                "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: inner}\nspec:\n  listeners: \
                 [{name: a, port: 81, protocol: HTTP, hostname: a.test}, {name: b, port: 81, protocol: HTTP}]\n---\n\
                 apiVersion: evenkeel.dev/v1alpha1\nkind: ClientTrafficPolicy\nmetadata: {name: c}\nspec:\n  \
                 targetRefs: [{kind: Gateway, name: inner, sectionName: a}]\n  headers: {maxFields: 50}",
                "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: inner}\nspec:\n  listeners: \
                 [{name: a, port: 81, protocol: HTTP, hostname: a.test}, {name: b, port: 82, protocol: HTTP}]\n---\n\
                 apiVersion: evenkeel.dev/v1alpha1\nkind: ClientTrafficPolicy\nmetadata: {name: c}\nspec:\n  \
                 targetRefs: [{kind: Gateway, name: inner, sectionName: a}]\n  headers: {maxFields: 50}",
            ),
            Self::SecretNotFound => in_spec(
                "Gateway",
                "listeners:\n- name: https\n  port: 443\n  protocol: HTTPS\n  tls: {certificateRefs: [{name: shop-example-com}]}",
                "listeners:\n- name: https\n  port: 443\n  protocol: HTTPS\n  tls:\n    certificateFiles:\n    - certFile: \
                 /etc/tls/shop.pem\n      keyFile: /etc/tls/shop.key",
            ),
            Self::UnreadableFile => in_spec(
                "Gateway",
                "listeners:\n- name: https\n  port: 443\n  protocol: HTTPS\n  tls:\n    certificateFiles:\n    - certFile: \
                 /etc/tls/shop.epm\n      keyFile: /etc/tls/shop.key",
                "listeners:\n- name: http\n  port: 80\n  protocol: HTTP",
            ),
            Self::BadCertificate => at(
                Place::Alone,
                "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: edge}\nspec:\n  listeners:\n  - \
                 {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: shop}]}}\n---\napiVersion: v1\n\
                 kind: Secret\nmetadata: {name: shop}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: MIIBhTCCASugAw\n  \
                 tls.key: MHcCAQEEIFoo",
                "apiVersion: v1\nkind: Secret\nmetadata: {name: shop}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: |\n    \
                 -----BEGIN CERTIFICATE-----\n    MIIBhTCCASugAw…\n    -----END CERTIFICATE-----\n  tls.key: |\n    \
                 -----BEGIN PRIVATE KEY-----\n    MHcCAQEEIFoo…\n    -----END PRIVATE KEY-----",
            ),
            // They take a whole certificate to show, and a time.
            Self::KeyMismatch | Self::CertificateExpiry | Self::ChainOrder | Self::NameMismatch => {
                return None;
            }
            Self::OldVersion => at(
                Place::Beside,
                "apiVersion: gateway.networking.k8s.io/v1beta1\nkind: HTTPRoute\nmetadata: {name: b}\nspec:\n  rules: \
                 [{backendRefs: [{name: api}]}]",
                GRANT,
            ),
            Self::Ignored => in_rule(
                "backendRefs: [{group: evenkeel.dev, kind: Backend, name: api, port: 80}]",
                "backendRefs: [{group: evenkeel.dev, kind: Backend, name: api}]",
            ),
            Self::NoShare => in_rule(
                "backendRefs: [{name: api, weight: 0}]",
                "backendRefs: [{name: api, weight: 1}]",
            ),
            Self::FirstCounts => in_rule(
                "matches: [{headers: [{name: a, value: b}, {name: A, value: c}]}]\nbackendRefs: [{name: api}]",
                "matches: [{headers: [{name: a, value: b}]}]\nbackendRefs: [{name: api}]",
            ),
            Self::Foreign => at(
                Place::Beside,
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}",
                "apiVersion: evenkeel.dev/v1alpha1\nkind: Telemetry\nmetadata: {name: logs}\nspec: {}",
            ),
            Self::NoEndpoints => in_rule(
                "backendRefs: [{kind: Service, name: shop, port: 80}]",
                "backendRefs: [{group: evenkeel.dev, kind: Backend, name: api}]",
            ),
            Self::RepeatsUnsafe => in_rule(
                "retry: {codes: [503]}\nbackendRefs: [{name: api}]",
                "matches: [{method: GET}]\nretry: {codes: [503]}\nbackendRefs: [{name: api}]",
            ),
            Self::SplitLimits => at(
                Place::Beside,
                "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: slow}\nspec:\n  rules: \
                 [{matches: [{path: {value: /slow}}], backendRefs: [{name: api}]}]\n---\napiVersion: \
                 evenkeel.dev/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {name: of-api}\nspec:\n  targetRefs: \
                 [{kind: Backend, name: api}]\n  circuitBreaker: {maxConnections: 8}\n---\napiVersion: \
                 evenkeel.dev/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {name: of-slow}\nspec:\n  targetRefs: \
                 [{kind: HTTPRoute, name: slow}]\n  loadBalancer: {type: Random}",
                "apiVersion: evenkeel.dev/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {name: of-api}\nspec:\n  \
                 targetRefs: [{kind: Backend, name: api}]\n  circuitBreaker: {maxConnections: 8}",
            ),
            Self::Shadowed => in_spec(
                "HTTPRoute",
                "rules:\n- {matches: [{path: {value: /a}}], backendRefs: [{name: api}]}\n- {matches: [{path: {value: \
                 /a}}], backendRefs: [{name: api}]}",
                "rules:\n- {matches: [{path: {value: /a}}], backendRefs: [{name: api}]}\n- {matches: [{path: {value: \
                 /b}}], backendRefs: [{name: api}]}",
            ),
            Self::Unused => at(
                Place::Beside,
                "apiVersion: evenkeel.dev/v1alpha1\nkind: Backend\nmetadata: {name: old}\nspec:\n  endpoints: \
                 [{ip: {address: 10.0.0.2, port: 80}}]",
                GRANT,
            ),
            _ => return None,
        })
    }
}
