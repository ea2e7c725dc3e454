//! SNI to certificate: which identity a name is served under, and the handshake.
//!
//! Reading order: [`Pair`] (a certificate with its key, checked) lives in a [`CertSlot`]; a [`Frontend`] is the TLS side of a listener
//! and makes a [`Directory`] of its slots, anew at every swap; [`accept()`] does the handshake and gives [`Facts`].
//! The other way round, [`connect()`] does the handshake with a backend, as [`BackendTls`] has it.
//! rustls is known in this folder only, but for the streams that the two give.

mod accept;
mod backend;
mod by_name;
mod cert;
mod cipher;
mod directory;
mod failure;
mod frontend;
mod names;
mod pair_error;
mod pem_file;
mod policy;
mod settings;
mod slot;

pub use accept::{Accepted, Facts, accept};
pub use backend::{
    Agreed, BackendFiles, BackendTls, BackendTlsSettings, ClientPair, HandshakeFailure, Offer, Peer, PeerName, Roots,
    RootsError, Source, connect,
};
pub use cert::{Pair, Warning};
pub use directory::{Directory, Identity, Why};
pub use failure::HandshakeError;
pub use frontend::{Allowed, Frontend};
pub use names::Names;
pub use pair_error::{PairError, Part};
pub use policy::PolicyError;
pub use settings::{CertificateSettings, CipherSuite, HostSettings, MinVersion, Settings};
pub use slot::{CertSlot, Refusal, Swap};

#[cfg(test)]
mod tests;
