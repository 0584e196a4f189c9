//! When certificates expire.

use super::catalogue::{Sample, Snapshot, Value};

/// A certificate as the statistics show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateView {
    /// Where it was read from.
    pub name: String,
    /// The first second at which it is no longer valid, counted from 1970.
    pub not_after: i64,
}

const DAY: i64 = 24 * 3600;

impl Snapshot {
    /// With the certificates that listeners present; `now` counts seconds from 1970.
    #[must_use]
    pub fn with_certificates(mut self, certificates: &[CertificateView], now: i64) -> Self {
        let seconds = |moment: i64| u64::try_from(moment).unwrap_or(0);
        for CertificateView { name, not_after } in certificates {
            self.samples.push(Sample {
                name: format!("listener.ssl.certificate.{name}.expiration_unix_time_seconds"),
                family: "envoy_listener_ssl_certificate_expiration_unix_time_seconds".into(),
                labels: vec![("envoy_ssl_certificate_name", name.clone())],
                help: "When the certificate expires, in seconds since 1970.",
                value: Value::Gauge(seconds(*not_after)),
            });
        }
        if let Some(first) = certificates.iter().map(|one| one.not_after).min() {
            self.plain(
                "server",
                "days_until_first_cert_expiring",
                "Days until the first certificate expires; 0 if one has.",
                Value::Gauge(seconds(first - now) / DAY.unsigned_abs()),
            );
        }
        self.sorted()
    }
}
