//! Backends that become WebSocket tunnels and echo what they get: over HTTP/1.1, and over HTTP/2.

use std::fmt;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Response};
use portcullis::proxy::http::websocket;
use tokio::net::TcpListener;

use super::script::{Conversation, Received, Script};

/// Reads a handshake and switches. The request, and the connection as it was left.
pub(crate) fn switch(conversation: &mut Conversation) -> Option<Received> {
    let request = conversation.head()?;
    let accept = websocket::accept(request.field("sec-websocket-key").unwrap_or_default().as_bytes());
    conversation.send(format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    ));
    Some(request)
}

/// A backend of HTTP/1.1 that records each handshake and echoes.
pub(crate) fn over_http1() -> Script {
    Script::playing(|conversation| {
        if let Some(request) = switch(conversation) {
            conversation.record(request);
            conversation.echo();
        }
    })
}

/// A backend of HTTP/2 without TLS that echoes on every extended CONNECT, where it takes them.
pub(crate) struct Http2Echo(SocketAddr);

impl Http2Echo {
    /// Serves for as long as the test runs.
    pub(crate) fn start(tunnels: bool) -> Self {
        let (sender, address) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                while let Ok((socket, _)) = listener.accept().await {
                    tokio::spawn(connection(socket, tunnels));
                }
            });
        });
        Self(address.recv().unwrap())
    }
}

impl fmt::Display for Http2Echo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.0)
    }
}

async fn connection(socket: tokio::net::TcpStream, tunnels: bool) {
    let mut builder = h2::server::Builder::new();
    if tunnels {
        builder.enable_connect_protocol();
    }
    let Ok(mut connection) = builder.handshake::<_, Bytes>(socket).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let protocol = request.extensions().get::<h2::ext::Protocol>().map(|protocol| protocol.as_str().to_owned());
        let clean = !request.headers().contains_key("sec-websocket-key");
        let good = request.method() == Method::CONNECT && protocol.as_deref() == Some("websocket") && clean;
        let answer = Response::builder().status(if good { 200 } else { 400 }).body(()).unwrap();
        let Ok(mut sending) = respond.send_response(answer, !good) else { continue };
        let mut body = request.into_body();
        tokio::spawn(async move {
            while let Some(Ok(data)) = body.data().await {
                let _ = body.flow_control().release_capacity(data.len());
                if sending.send_data(data, false).is_err() {
                    return;
                }
            }
            let _ = sending.send_data(Bytes::new(), true);
        });
    }
}
