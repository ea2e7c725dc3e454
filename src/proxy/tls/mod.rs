//! SNI to certificate: which identity a name is served under, and the handshake.

mod settings;

pub use settings::{CertificateSettings, CipherSuite, HostSettings, MinVersion, Settings};
