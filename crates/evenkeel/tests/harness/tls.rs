//! Certificates that a test makes, and clients that trust them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

/// Somebody who issues certificates, whom a test's clients trust.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key.
pub(crate) struct Issued {
    /// In PEM.
    pub(crate) chain: String,
    pub(crate) key: String,
    der: CertificateDer<'static>,
    key_der: Vec<u8>,
}

/// The files of a certificate, in a folder that goes with them.
pub(crate) struct Files {
    _folder: tempfile::TempDir,
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) authority: PathBuf,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "the tests' authority");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority"))
    }

    /// A certificate for these names.
    pub(crate) fn issue(&self, names: &[&str]) -> Issued {
        self.issue_until(names, Duration::from_secs(90 * 24 * 3600))
    }

    /// One that is valid for so long from now on.
    pub(crate) fn issue_until(&self, names: &[&str], valid: Duration) -> Issued {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        let now = SystemTime::now();
        (params.not_before, params.not_after) =
            ((now - Duration::from_secs(3600)).into(), (now + valid).into());
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        Issued {
            chain: certificate.pem(),
            key: key.serialize_pem(),
            der: certificate.der().clone(),
            key_der: key.serialize_der(),
        }
    }

    /// A connection of a client that asks for a name and trusts this authority.
    pub(crate) fn client(&self, name: &str) -> ClientConnection {
        self.client_with(name, |_| {})
    }

    /// The same with another configuration.
    pub(crate) fn client_with(&self, name: &str, change: impl FnOnce(&mut ClientConfig)) -> ClientConnection {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("a certificate");
        let mut config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        change(&mut config);
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        ClientConnection::new(Arc::new(config), name).expect("a client")
    }

    /// A ConfigMap of its own certificate, and the lines of a BackendTLSPolicy's spec that name it.
    pub(crate) fn config_map(&self, name: &str) -> String {
        let lines: String = self.0.pem().lines().map(|line| format!("    {line}\n")).collect();
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata:\n  ca.crt: |\n{lines}---\n"
        )
    }

    /// Writes a certificate's files.
    pub(crate) fn files(&self, issued: &Issued) -> Files {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let files = Files {
            chain: path("chain.pem"),
            key: path("key.pem"),
            authority: path("ca.pem"),
            _folder: folder,
        };
        files.write(issued);
        std::fs::write(&files.authority, self.0.pem()).expect("a file");
        files
    }
}

impl Issued {
    /// A server's side that presents it.
    pub(crate) fn server(&self) -> ServerConnection {
        let key = PrivateKeyDer::try_from(self.key_der.clone()).expect("a key");
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![self.der.clone()], key)
            .expect("a certificate");
        ServerConnection::new(Arc::new(config)).expect("a server")
    }

    /// A Secret of it.
    pub(crate) fn secret(&self, name: &str) -> String {
        let block = |text: &str| {
            text.lines()
                .map(|line| format!("    {line}\n"))
                .collect::<String>()
        };
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\ntype: kubernetes.io/tls\nstringData:\n  tls.crt: \
             |\n{}  tls.key: |\n{}---\n",
            block(&self.chain),
            block(&self.key)
        )
    }
}

impl Files {
    /// Replaces the certificate, as certbot does: by new files under the same names.
    pub(crate) fn write(&self, issued: &Issued) {
        for (path, text) in [(&self.key, &issued.key), (&self.chain, &issued.chain)] {
            let new = path.with_extension("new");
            std::fs::write(&new, text).expect("a file");
            std::fs::rename(new, path).expect("one step");
        }
    }

    /// What a listener writes to have them.
    pub(crate) fn yaml(&self) -> String {
        let shown = |path: &Path| path.display().to_string();
        format!(
            "{{certificateFiles: [{{certFile: {}, keyFile: {}}}]}}",
            shown(&self.chain),
            shown(&self.key)
        )
    }
}
