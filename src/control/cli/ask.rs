//! Asks the admin listener of a running gateway.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::header::{AUTHORIZATION, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::table::plain;
use crate::base::secret::SecretError;
use crate::control::admin::Token;
use crate::control::admin::status::READY_PATH;
use crate::control::config::{self, AdminListen, Config, Overrides};

/// For connecting and the whole answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer that is read.
const MOST_BYTES: usize = 64 << 20;

/// Where a running gateway is, instead of what its config says.
#[derive(Debug, Args)]
pub(super) struct Address {
    /// The admin listener, instead of the config's
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) admin: Option<String>,
    /// The file of the token, instead of the config's
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
}

impl Address {
    /// The gateway that serves the config `file`, which is only read for what the options leave out. Without `token`, none is
    /// looked for.
    pub(super) fn gateway(&self, file: &Path, token: bool) -> Result<Gateway, String> {
        let token_file = self.token_file.clone().or_else(|| (!token).then(PathBuf::new));
        if let (Some(address), Some(token_file)) = (&self.admin, &token_file) {
            return Ok(Gateway { address: address.clone(), token_file: token_file.clone() });
        }
        let loaded = Config::load(file, &config::of_process(), &Overrides::default());
        let admin = loaded.map_err(|failure| format!("{}\n{BOTH_FLAGS}", failure.marked()))?.config.admin;
        let address = match (&self.admin, admin.listen) {
            (Some(address), _) => address.clone(),
            (None, AdminListen::Tcp(address)) => reachable(address.value).to_string(),
            (None, AdminListen::Off) => return Err(NO_ADMIN.into()),
        };
        Ok(Gateway { address, token_file: token_file.unwrap_or(admin.token_file) })
    }
}

const NO_ADMIN: &str = "portcullis: the config says admin.listen = false, so the gateway cannot be asked; \
     give it an address, such as \"127.0.0.1:9901\", and restart the gateway";

const BOTH_FLAGS: &str =
    "portcullis: with both --admin and --token-file, or with --ready and --admin, the config is not needed";

/// An address to dial for one to listen on: all addresses are reached through the loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// A running gateway as its config names it.
#[derive(Clone, Debug)]
pub(super) struct Gateway {
    /// `host:port` of the admin listener.
    pub(super) address: String,
    /// Where its token stands. Not read for what is told to everybody.
    pub(super) token_file: PathBuf,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error(transparent)]
    Token(#[from] SecretError),
    #[error("no gateway answers on {address}: {error}; is it running? `--admin` names another address")]
    NotThere { address: String, error: String },
    #[error("the gateway on {address} does not accept the token in {token}; is it another gateway's?", token = token.display())]
    Unauthorised { address: String, token: PathBuf },
    #[error("the gateway on {address} is not ready: {said}")]
    NotReady { address: String, said: String },
    #[error("the gateway on {address} answers {status}: {error}")]
    Refused { address: String, status: StatusCode, error: String },
    #[error(
        "the gateway on {address} gave no whole answer: {error}; is it a gateway's admin listener? its log may say more"
    )]
    Broken { address: String, error: String },
}

impl Gateway {
    /// The body of the answer to `GET path`, asked with the token.
    pub(super) fn ask(&self, path: &str) -> Result<Bytes, AskError> {
        let token = Token::load(&self.token_file)?;
        match self.exchange(path, Some(&token))? {
            (StatusCode::OK, body) => Ok(body),
            (StatusCode::UNAUTHORIZED, _) => {
                Err(AskError::Unauthorised { address: self.address.clone(), token: self.token_file.clone() })
            }
            (status, body) => Err(self.refused(status, &body)),
        }
    }

    /// Whether requests should come here, which is told without a token. Not to be ready is an error.
    pub(super) fn is_ready(&self) -> Result<(), AskError> {
        match self.exchange(READY_PATH, None)? {
            (StatusCode::OK, _) => Ok(()),
            (StatusCode::SERVICE_UNAVAILABLE, body) => {
                let said = plain(String::from_utf8_lossy(&body).trim());
                Err(AskError::NotReady { address: self.address.clone(), said })
            }
            (status, body) => Err(self.refused(status, &body)),
        }
    }

    fn exchange(&self, path: &str, token: Option<&Token>) -> Result<(StatusCode, Bytes), AskError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| self.broken(&error))?;
        let asking = async { tokio::time::timeout(PATIENCE, self.request(path, token)).await };
        runtime
            .block_on(asking)
            .unwrap_or_else(|_| Err(self.broken(&format!("it took longer than {} s", PATIENCE.as_secs()))))
    }

    async fn request(&self, path: &str, token: Option<&Token>) -> Result<(StatusCode, Bytes), AskError> {
        let not_there =
            |error: std::io::Error| AskError::NotThere { address: self.address.clone(), error: error.to_string() };
        let stream = TcpStream::connect(&self.address).await.map_err(not_there)?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.broken(&error))?;
        // Whatever stands between, such as a forwarded port: the listener knows this name.
        let mut request = Request::get(path).header(HOST, "localhost");
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.reveal()));
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| self.broken(&error))?;
        let asking = async move {
            let answer = sender.send_request(request).await.map_err(|error| self.broken(&error))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), MOST_BYTES).collect().await;
            // With the sender gone the connection ends, and with it the wait for both.
            drop(sender);
            Ok((status, body.map_err(|error| self.broken(&error))?.to_bytes()))
        };
        let (answer, _) = tokio::join!(asking, connection);
        answer
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> AskError {
        AskError::Refused { address: self.address.clone(), status, error: reason(body) }
    }

    fn broken(&self, error: &impl ToString) -> AskError {
        AskError::Broken { address: self.address.clone(), error: error.to_string() }
    }
}

/// What a refusal says of itself.
fn reason(body: &[u8]) -> String {
    let refusal: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    match (refusal["error"].as_str(), refusal["advice"].as_str()) {
        (Some(error), Some(advice)) => format!("{error}; {advice}"),
        _ => "it says nothing more; look into its log".into(),
    }
}

impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}
