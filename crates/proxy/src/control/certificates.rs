//! Certificates that expire while evenkeel runs: what is told of them, and when.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use config::EXPIRY_WARNING_SECONDS;
use config::model::{Certificate, Model};

use super::reload::Control;
use crate::telemetry::stats::CertificateView;

/// How often they are looked at.
const LOOK: Duration = Duration::from_secs(3600);

/// A certificate is warned of once in this time, in seconds: the start and every reload have warned before.
const WARNED_AGAIN: i64 = 24 * 3600;

/// The time, in seconds from 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// Every certificate that a listener presents, once.
fn presented(model: &Model) -> BTreeMap<Arc<str>, Arc<Certificate>> {
    let of_all = model
        .listeners
        .iter()
        .filter_map(|listener| listener.tls.as_ref());
    let certificates = of_all.flat_map(|tls| &tls.certificates);
    certificates.map(|one| (one.name.clone(), one.clone())).collect()
}

/// What the statistics show of a configuration's certificates.
pub(super) fn views(model: &Model) -> Vec<CertificateView> {
    let view = |certificate: Arc<Certificate>| CertificateView {
        name: certificate.name.to_string(),
        not_after: certificate.not_after,
    };
    presented(model).into_values().map(view).collect()
}

/// The warning of a certificate, if it is worth one.
fn warning(name: &str, not_after: i64, now: i64) -> Option<String> {
    let left = not_after - now;
    let date = config::date(not_after);
    if left <= 0 {
        return Some(format!(
            "the certificate {name} expired on {date}: clients refuse it. Renew it"
        ));
    }
    (left < EXPIRY_WARNING_SECONDS).then(|| {
        format!(
            "the certificate {name} expires on {date}, in {} days. Renew it, or see why it was not renewed",
            left / WARNED_AGAIN
        )
    })
}

impl Control {
    /// Warns once a day of certificates that expire soon, for as long as the process lives.
    pub(crate) async fn watch_certificates(self: Arc<Self>) {
        let mut warned = now();
        loop {
            tokio::time::sleep(LOOK).await;
            let now = now();
            if now - warned < WARNED_AGAIN {
                continue;
            }
            warned = now;
            for certificate in presented(&self.model()).values() {
                if let Some(warning) = warning(&certificate.name, certificate.not_after, now) {
                    tracing::warn!("{warning}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_warned_of_from_three_weeks_before_its_end_on() {
        let of = |left: i64| warning("site.pem", 1_800_000_000, 1_800_000_000 - left);
        assert_eq!(of(EXPIRY_WARNING_SECONDS), None);
        let soon = of(EXPIRY_WARNING_SECONDS - 1).expect("a warning");
        assert!(
            soon.starts_with("the certificate site.pem expires on 2027-01-15, in 20 days."),
            "{soon}"
        );
        assert!(
            of(0)
                .expect("a warning")
                .starts_with("the certificate site.pem expired on")
        );
    }
}
