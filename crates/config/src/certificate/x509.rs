//! What is read of one certificate.

use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// What matters of one certificate.
#[derive(Debug)]
pub(super) struct Parsed {
    /// As bytes, to be compared …
    pub(super) subject: Vec<u8>,
    pub(super) issuer: Vec<u8>,
    /// … and in words.
    pub(super) subject_words: String,
    pub(super) issuer_words: String,
    pub(super) hostnames: Vec<String>,
    /// Seconds from 1970.
    pub(super) not_before: i64,
    pub(super) not_after: i64,
    /// The public key as its algorithm writes it.
    pub(super) public_key: Vec<u8>,
}

/// Reads a certificate, or says why it is none.
pub(super) fn parse(der: &[u8]) -> Result<Parsed, String> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|why| match why {
        x509_parser::nom::Err::Incomplete(_) => "it is cut short".to_owned(),
        x509_parser::nom::Err::Error(why) | x509_parser::nom::Err::Failure(why) => why.to_string(),
    })?;
    if !rest.is_empty() {
        return Err(format!("{} bytes stand behind its end", rest.len()));
    }
    let names = certificate
        .subject_alternative_name()
        .map_err(|why| format!("its subjectAltName: {why}"))?;
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => super::address(bytes),
        _ => None,
    };
    let names = names.map(|names| names.value.general_names.iter().filter_map(name).collect());
    Ok(Parsed {
        subject: certificate.subject().as_raw().to_vec(),
        issuer: certificate.issuer().as_raw().to_vec(),
        subject_words: certificate.subject().to_string(),
        issuer_words: certificate.issuer().to_string(),
        hostnames: names.unwrap_or_default(),
        not_before: certificate.validity().not_before.timestamp(),
        not_after: certificate.validity().not_after.timestamp(),
        public_key: certificate.public_key().subject_public_key.data.to_vec(),
    })
}
