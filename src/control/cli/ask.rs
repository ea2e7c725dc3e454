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

use crate::control::admin::Token;
use crate::control::admin::token::TokenError;

/// For connecting and the whole answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer that is read.
const MOST_BYTES: usize = 64 << 20;

/// A running gateway as its config names it.
#[derive(Clone, Debug)]
pub(super) struct Gateway {
    /// `host:port` of the admin listener.
    pub(super) address: String,
    /// Where its token stands.
    pub(super) token_file: PathBuf,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("no gateway answers on {address}: {error}; is it running? `--admin` names another address")]
    NotThere { address: String, error: String },
    #[error("the gateway on {address} does not accept the token in {token}; is it another gateway's?", token = token.display())]
    Unauthorised { address: String, token: PathBuf },
    #[error("the gateway on {address} answers {status}: {error}")]
    Refused { address: String, status: StatusCode, error: String },
    #[error("the gateway on {address} gave no whole answer: {error}")]
    Broken { address: String, error: String },
}

impl Gateway {
    /// The body of the answer to `GET path`.
    pub(super) fn ask(&self, path: &'static str) -> Result<Bytes, AskError> {
        let token = Token::load(&self.token_file)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| self.broken(&error))?;
        let asking = async { tokio::time::timeout(PATIENCE, self.exchange(path, &token)).await };
        let (status, body) = runtime
            .block_on(asking)
            .unwrap_or_else(|_| Err(self.broken(&format!("it took longer than {} s", PATIENCE.as_secs()))))?;
        match status {
            StatusCode::OK => Ok(body),
            StatusCode::UNAUTHORIZED => {
                Err(AskError::Unauthorised { address: self.address.clone(), token: self.token_file.clone() })
            }
            status => Err(AskError::Refused { address: self.address.clone(), status, error: reason(&body) }),
        }
    }

    async fn exchange(&self, path: &'static str, token: &Token) -> Result<(StatusCode, Bytes), AskError> {
        let not_there =
            |error: std::io::Error| AskError::NotThere { address: self.address.clone(), error: error.to_string() };
        let stream = TcpStream::connect(&self.address).await.map_err(not_there)?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.broken(&error))?;
        let request = Request::get(path)
            // Whatever stands between, such as a forwarded port: the listener knows this name.
            .header(HOST, "localhost")
            .header(AUTHORIZATION, format!("Bearer {}", token.reveal()))
            .body(Empty::<Bytes>::new())
            .map_err(|error| self.broken(&error))?;
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

    fn broken(&self, error: &impl ToString) -> AskError {
        AskError::Broken { address: self.address.clone(), error: error.to_string() }
    }
}

/// What a refusal says of itself.
fn reason(body: &[u8]) -> String {
    let refusal: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    match (refusal["error"].as_str(), refusal["advice"].as_str()) {
        (Some(error), Some(advice)) => format!("{error}; {advice}"),
        _ => "it says nothing more".into(),
    }
}

impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}
