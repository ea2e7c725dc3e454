//! Calls of gRPC whose backend fails in the middle of its answer.

use std::sync::{Mutex, mpsc};

use crate::support::PATIENCE;
use crate::support::configs::{one_worker, route_to_h2};
use crate::support::frames::{DATA, INTERNAL_ERROR, RST_STREAM, frame};
use crate::support::gateway::Gateway;
use crate::support::http2::Http2;
use crate::support::peer::Peer;
use crate::support::script::Script;

/// A message of one byte, as gRPC frames it.
const MESSAGE: &[u8] = b"\0\0\0\0\x01x";

#[test]
fn a_backend_that_breaks_off_ends_in_a_status_and_not_in_a_reset() {
    type Break = (&'static str, fn(&mut Peer<'_>, u32));
    let breaks: [Break; 3] = [
        ("closed without a word", |peer, _| peer.conversation.close()),
        ("a reset connection", |peer, _| peer.conversation.reset()),
        ("a reset stream", |peer, stream| {
            peer.send(frame(RST_STREAM, 0, stream, &INTERNAL_ERROR.to_be_bytes())).hold();
        }),
    ];
    for (name, breaks_off) in breaks {
        let (tell, told) = mpsc::channel::<()>();
        let told = Mutex::new(told);
        let backend = Script::playing(move |conversation| {
            let mut peer = Peer::settled(conversation, &[]);
            let (stream, _) = peer.request().unwrap();
            peer.head(stream, 0, &[(":status", "200"), ("content-type", "application/grpc")]);
            peer.send(frame(DATA, 0, stream, MESSAGE));
            told.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            breaks_off(&mut peer, stream);
        });
        let gateway = Gateway::serving(&format!("{}{}", one_worker(), route_to_h2(&[&backend], "", "")));
        let mut call = Http2::connect(&gateway).post("/probe.Probe/Download", &[("content-type", "application/grpc")]);
        call.finish();

        assert_eq!(call.piece().unwrap().unwrap(), MESSAGE, "{name}");
        tell.send(()).unwrap();

        let trailers = call.rest().unwrap().trailers;
        assert!(trailers.contains(&("grpc-status".to_owned(), "14".to_owned())), "{name}: {trailers:?}");
        gateway.access(|line| line["path"] == "/probe.Probe/Download" && line["reason"] == "backend_reset");
    }
}
