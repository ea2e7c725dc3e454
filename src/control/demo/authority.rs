//! A CA that lives as long as the demo, and the certificates it signs.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

/// What a certificate is for: every way to reach this machine from itself.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Longer than any demo, shorter than anything worth stealing.
const LIFETIME: Duration = Duration::days(7);

/// The demo's CA. Its key never leaves the process.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    now: OffsetDateTime,
}

/// A certificate and its key, both PEM.
pub(super) struct Pair {
    /// The certificate.
    pub(super) certificate: String,
    /// Its private key.
    pub(super) key: String,
}

impl Authority {
    /// A fresh CA, valid around `now`.
    pub(super) fn new(now: OffsetDateTime) -> Result<Self, rcgen::Error> {
        let mut params = lasting(CertificateParams::default(), now);
        params.distinguished_name.push(DnType::CommonName, "Portcullis demo CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self { issuer, now })
    }

    /// What clients are told to trust, PEM.
    pub(super) fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for this machine. `title` is its subject, so that a client shows which one it got.
    pub(super) fn issue(&self, title: &str) -> Result<Pair, rcgen::Error> {
        let mut params = lasting(CertificateParams::new(NAMES.map(str::to_owned))?, self.now);
        params.distinguished_name.push(DnType::CommonName, title);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        Ok(Pair { certificate: params.signed_by(&key, &self.issuer)?.pem(), key: key.serialize_pem() })
    }
}

/// Valid from an hour ago, since clocks differ, to the end of its lifetime.
fn lasting(mut params: CertificateParams, now: OffsetDateTime) -> CertificateParams {
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.not_before = now - Duration::hours(1);
    params.not_after = now + LIFETIME;
    params
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls_pki_types::pem::PemObject;
    use rustls_pki_types::{CertificateDer, PrivateKeyDer};

    #[test]
    fn a_pair_is_what_a_tls_server_takes() {
        let authority = Authority::new(OffsetDateTime::now_utc()).unwrap();
        let pair = authority.issue("Portcullis demo, certificate 1").unwrap();
        let chain = vec![CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        rustls::sign::CertifiedKey::from_der(chain, key, &provider).unwrap();
    }

    #[test]
    fn the_subject_tells_two_pairs_apart() {
        let authority = Authority::new(OffsetDateTime::now_utc()).unwrap();
        let first = authority.issue("first").unwrap();
        let der = CertificateDer::from_pem_slice(first.certificate.as_bytes()).unwrap();
        let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
        assert_eq!(certificate.subject().to_string(), "CN=first");
        assert_eq!(certificate.issuer().to_string(), "CN=Portcullis demo CA");
    }
}
