//! What evenkeel asks of endpoints that it speaks TLS to: which authorities, which names.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::model::{Authorities, ClusterSpec, EndpointTls};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// How the clusters of a configuration are spoken to by TLS, by their names.
pub(crate) type EndpointSides = BTreeMap<Arc<str>, Arc<EndpointSide>>;

/// What clusters were spoken to by: kept over reloads where nothing has changed, so that endpoints resume what they know.
pub(crate) type Trusted = BTreeMap<Arc<str>, (Arc<EndpointTls>, Arc<EndpointSide>)>;

/// How a cluster's endpoints are spoken to.
#[derive(Debug)]
pub(crate) struct EndpointSide {
    config: Arc<ClientConfig>,
    /// What it asks for, and what the certificate is for unless there are other names.
    name: ServerName<'static>,
}

impl EndpointSide {
    /// That of each cluster that has one.
    ///
    /// # Errors
    /// No authority can be used, or there is no randomness: which cluster, and why.
    pub(crate) fn of_all(clusters: &[ClusterSpec], trusted: &mut Trusted) -> Result<EndpointSides, String> {
        let mut now = Trusted::new();
        for spec in clusters {
            let Some(tls) = &spec.tls else { continue };
            let known = trusted.get(&spec.name).filter(|(known, _)| known == tls);
            let side = match known {
                Some((_, side)) => side.clone(),
                None => Arc::new(Self::of(tls).map_err(|why| format!("cluster {}: {why}", spec.name))?),
            };
            now.insert(spec.name.clone(), (tls.clone(), side));
        }
        let sides = now
            .iter()
            .map(|(name, (_, side))| (name.clone(), side.clone()))
            .collect();
        *trusted = now;
        Ok(sides)
    }

    /// As a cluster is configured.
    ///
    /// # Errors
    /// There is no authority that can be used, or no randomness: why.
    pub(crate) fn of(tls: &EndpointTls) -> Result<Self, String> {
        let name =
            ServerName::try_from(tls.hostname.clone()).map_err(|why| format!("{}: {why}", tls.hostname))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let roots = roots(&tls.authorities)?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .map_err(|why| why.to_string())?;
        let names = tls
            .names
            .iter()
            .map(|name| ServerName::try_from(name.clone()).map_err(|why| format!("{name}: {why}")));
        let verifier = ByNames {
            names: names.collect::<Result<_, _>>()?,
            inner: verifier,
        };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|why| why.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.enable_early_data = false;
        Ok(Self {
            config: Arc::new(config),
            name,
        })
    }

    pub(super) fn config(&self) -> (Arc<ClientConfig>, ServerName<'static>) {
        (self.config.clone(), self.name.clone())
    }
}

fn roots(authorities: &Authorities) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    match authorities {
        Authorities::Given(certificates) => {
            for certificate in certificates {
                store.add(certificate.clone()).map_err(|why| why.to_string())?;
            }
        }
        Authorities::System => {
            let found = rustls_native_certs::load_native_certs();
            let (added, _) = store.add_parsable_certificates(found.certs);
            if added == 0 {
                let why = found
                    .errors
                    .first()
                    .map_or_else(String::new, |why| format!(": {why}"));
                return Err(format!(
                    "this machine has no bundle of authorities{why}; install ca-certificates"
                ));
            }
        }
    }
    Ok(store)
}

/// Checks a certificate against the authorities, and for one of several names instead of the one that was asked for.
#[derive(Debug)]
struct ByNames {
    /// If there are none, the name that was asked for counts.
    names: Vec<ServerName<'static>>,
    inner: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for ByNames {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let check = |name: &ServerName<'_>| {
            self.inner
                .verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
        };
        let Some((first, others)) = self.names.split_first() else {
            return check(server_name);
        };
        let refused = match check(first) {
            Ok(verified) => return Ok(verified),
            Err(refused) => refused,
        };
        others.iter().find_map(|name| check(name).ok()).ok_or(refused)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
