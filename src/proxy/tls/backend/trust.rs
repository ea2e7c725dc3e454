//! Whom backends are verified against: the CAs of a file, or the system's.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::proxy::tls::cert::{certificates, day, moment};
use crate::proxy::tls::pair_error::{PairError, Part};

/// The CAs that may vouch for a backend.
#[derive(Clone)]
pub struct Roots(Arc<RootCertStore>);

/// Where the system's roots came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The system, or what `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    System,
    /// Mozilla's list as it was when this program was built, since the system has none.
    BuiltIn,
}

/// The system's roots are there and cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the system's root certificates cannot be read ({0}); correct SSL_CERT_FILE or SSL_CERT_DIR, install ca-certificates, or name the CA of the backends: `tls = {{ ca = \"…\" }}`"
)]
pub struct RootsError(String);

impl Roots {
    /// The system's, or what `SSL_CERT_FILE` and `SSL_CERT_DIR` name. Takes some milliseconds.
    ///
    /// # Errors
    /// Where there are files and none of them can be used: what was meant to be trusted is not known then.
    pub fn system() -> Result<(Self, Source), RootsError> {
        let found = rustls_native_certs::load_native_certs();
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(found.certs);
        match found.errors.first() {
            _ if !store.is_empty() => Ok((Self(Arc::new(store)), Source::System)),
            Some(error) => Err(RootsError(error.to_string())),
            None => {
                store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
                Ok((Self(Arc::new(store)), Source::BuiltIn))
            }
        }
    }

    /// No roots: trusts nobody.
    pub fn none() -> Self {
        Self(Arc::new(RootCertStore::empty()))
    }

    /// The certificates of a PEM file. One that has expired is left out with a warning.
    pub(super) fn parse(
        (file, pem): (&Path, &[u8]),
        now: SystemTime,
        warnings: &mut Vec<String>,
    ) -> Result<Self, PairError> {
        let broken = |reason: String| PairError::Broken { file: file.into(), part: Part::Certificate, reason };
        let listed = certificates((file, pem))?.ok_or_else(|| PairError::nothing((file, pem), Part::Certificate))?;
        let mut store = RootCertStore::empty();
        let mut expired = None;
        for der in listed {
            let (_, x509) = X509Certificate::from_der(&der).map_err(|error| broken(error.to_string()))?;
            let not_after = moment(x509.validity().not_after.timestamp());
            if now > not_after {
                warnings.push(format!(
                    "{}: the CA `{}` expired on {} and is not trusted; remove it from the file",
                    file.display(),
                    x509.subject(),
                    day(not_after)
                ));
                expired = Some(not_after);
                continue;
            }
            store.add(der).map_err(|error| broken(error.to_string()))?;
        }
        match expired {
            Some(since) if store.is_empty() => Err(PairError::Expired { file: file.into(), since: day(since) }),
            _ => Ok(Self(Arc::new(store))),
        }
    }

    pub(super) fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<Verifier>, VerifierBuilderError> {
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::clone(&self.0), Arc::clone(provider)).build()?;
        Ok(Arc::new(Verifier(verifier)))
    }
}

/// Without the certificates.
impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roots").field("count", &self.0.len()).finish()
    }
}

/// rustls's own verification, whose verdict stands. Where it does not know the issuer, this says who that is, for the log.
#[derive(Debug)]
pub(super) struct Verifier(Arc<WebPkiServerVerifier>);

/// Who issued a certificate that nobody vouches for.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Untrusted {
    /// There is no such CA.
    #[error("the certificate was issued by `{0}`, whom the pool does not trust")]
    Stranger(String),
    /// There is one, and it has not signed this.
    #[error("the certificate says that `{0}` issued it; the pool trusts one of that name, but the key is another")]
    Namesake(String),
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.0.verify_server_cert(leaf, chain, name, ocsp, now).map_err(|error| match error {
            Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
                untrusted(chain.last().unwrap_or(leaf), Untrusted::Stranger)
            }
            Error::InvalidCertificate(CertificateError::BadSignature) => {
                untrusted(chain.last().unwrap_or(leaf), Untrusted::Namesake)
            }
            other => other,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

fn untrusted(last: &CertificateDer<'_>, why: fn(String) -> Untrusted) -> Error {
    let issuer = X509Certificate::from_der(last).map_or_else(|_| "?".to_owned(), |(_, x509)| x509.issuer().to_string());
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(why(issuer)))))
}
