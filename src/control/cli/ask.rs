//! Asks the admin listener of a running gateway.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
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

/// For connecting and the whole answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer that is read.
const MOST_BYTES: usize = 64 << 20;

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
    pub(super) fn ask(&self, path: &'static str) -> Result<Bytes, AskError> {
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

    fn exchange(&self, path: &'static str, token: Option<&Token>) -> Result<(StatusCode, Bytes), AskError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| self.broken(&error))?;
        let asking = async { tokio::time::timeout(PATIENCE, self.request(path, token)).await };
        runtime
            .block_on(asking)
            .unwrap_or_else(|_| Err(self.broken(&format!("it took longer than {} s", PATIENCE.as_secs()))))
    }

    async fn request(&self, path: &'static str, token: Option<&Token>) -> Result<(StatusCode, Bytes), AskError> {
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
