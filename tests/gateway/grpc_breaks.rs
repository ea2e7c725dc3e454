//! Calls of gRPC whose backend fails in the middle of its answer.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::support::PATIENCE;
use crate::support::client::trusting;
use crate::support::configs::HTTPS;
use crate::support::gateway::Gateway;

/// A message of one byte, as gRPC frames it.
const MESSAGE: &[u8] = b"\0\0\0\0\x01x";

/// A backend of HTTP/2 that begins an answer, sends one message and, when told to, closes the connection without a word.
async fn breaking_off(listener: TcpListener, told: oneshot::Receiver<()>) {
    let (socket, _) = listener.accept().await.unwrap();
    let mut connection = h2::server::handshake(socket).await.unwrap();
    let (_request, mut respond) = connection.accept().await.unwrap().unwrap();
    let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let mut body = respond.send_response(head, false).unwrap();
    body.send_data(Bytes::from_static(MESSAGE), false).unwrap();
    tokio::select! {
        _ = connection.accept() => panic!("nothing more was to come"),
        told = told => told.unwrap(),
    }
}

/// Calls, tells the backend once its message has come, and reads to the trailers.
async fn call(gateway: &Gateway, tell: oneshot::Sender<()>) -> HeaderMap {
    let socket = TcpStream::connect(gateway.address("https")).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(trusting(&gateway.home().authority, b"h2")));
    let stream = connector.connect(ServerName::try_from("localhost").unwrap(), socket).await.unwrap();
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post("https://localhost/probe.Probe/Download").header("content-type", "application/grpc");
    let mut requests = requests.ready().await.unwrap();
    let (answer, _) = requests.send_request(request.body(()).unwrap(), true).unwrap();
    let mut body = answer.await.unwrap().into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), MESSAGE);
    tell.send(()).unwrap();
    let more = body.data().await;
    assert!(more.is_none(), "{more:?}\n{}", gateway.output());
    body.trailers().await.unwrap().unwrap()
}

#[test]
fn a_backend_that_breaks_off_ends_in_a_status_and_not_in_a_reset() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let gateway = Gateway::serving(&format!(
        "{HTTPS}\n[[route]]\nname = \"all\"\npool = {{ protocol = \"h2\", backends = [\"http://{address}\"] }}\n"
    ));
    let (tell, told) = oneshot::channel();
    let trailers = runtime.block_on(async {
        tokio::spawn(breaking_off(listener, told));
        tokio::time::timeout(PATIENCE, call(&gateway, tell)).await.expect("an end in time")
    });

    assert_eq!(trailers["grpc-status"], "14", "{trailers:?}");
    let logged = gateway.access(|line| line["path"] == "/probe.Probe/Download");
    assert_eq!(logged["reason"], "backend_reset");
}
