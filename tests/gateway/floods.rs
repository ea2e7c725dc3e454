//! HTTP/2 clients that cost more than they ask for: sent away with GOAWAY while others are served.

use crate::support::backend::Backend;
use crate::support::configs::{HTTPS, route_to};
use crate::support::frames::{
    CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frames, GOAWAY, HEADERS, PING, PRIORITY,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, block, frame, get, post,
};
use crate::support::gateway::Gateway;
use crate::support::http2::Http2;
use crate::support::script::Script;

/// Sends `round` after `round` until the gateway says that it is enough; it has to before `most`.
fn flood(gateway: &Gateway, name: &str, begin: &[u8], round: impl Fn(u32) -> Vec<u8>) {
    const MOST: u32 = 20_000;
    let mut client = Frames::settled(gateway, &[]);
    client.send(begin);
    let mut innocent = Http2::connect(gateway);
    for number in (0..MOST).step_by(100) {
        client.send((number..number + 100).flat_map(&round).collect::<Vec<_>>());
        if number % 1_000 == 0 {
            assert_eq!(innocent.get("/").unwrap().status, 200, "an innocent client during {name}");
        }
    }
    if let Some(goaway) = client.find(GOAWAY) {
        assert_eq!(goaway.code(), ENHANCE_YOUR_CALM, "{name}");
    }
    client.expect_closed();
    assert_eq!(innocent.get("/").unwrap().status, 200, "an innocent client after {name}");
}

#[test]
fn cheap_frames_without_end_are_stopped() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{HTTPS}{}", route_to(&[&backend])));
    let open = frame(HEADERS, END_HEADERS, 1, &post(&[]));

    flood(&gateway, "PING", &[], |_| frame(PING, 0, 0, &[0; 8]));
    flood(&gateway, "SETTINGS", &[], |_| frame(SETTINGS, 0, 0, &[]));
    flood(&gateway, "PRIORITY", &[], |number| frame(PRIORITY, 0, number * 2 + 3, &[0, 0, 0, 1, 0]));
    flood(&gateway, "WINDOW_UPDATE", &[], |_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]));
    flood(&gateway, "empty DATA", &open, |_| frame(DATA, 0, 1, &[]));
    flood(&gateway, "unknown frames", &[], |_| frame(0x77, 0, 0, &[1, 2, 3]));
}

#[test]
fn a_header_block_without_end_is_stopped() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{HTTPS}{}", route_to(&[&backend])));

    flood(&gateway, "CONTINUATION", &frame(HEADERS, 0, 1, &get()), |_| {
        frame(CONTINUATION, 0, 1, &block(&[("x", "y")]))
    });
    flood(&gateway, "empty CONTINUATION", &frame(HEADERS, 0, 1, &get()), |_| frame(CONTINUATION, 0, 1, &[]));
}

#[test]
fn a_rapid_reset_is_stopped_and_what_it_began_is_cancelled() {
    let backend = Script::playing(|conversation| {
        conversation.head();
        conversation.hold();
    });
    let innocent = Backend::named("one");
    let config =
        format!("{HTTPS}\n[[route]]\npath = \"/slow\"\npool = [\"{backend}\"]\n\n[[route]]\npool = [\"{innocent}\"]\n");
    let gateway = Gateway::serving(&config);
    let slow = block(&[(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/slow")]);

    flood(&gateway, "rapid reset", &[], |number| {
        let stream = number * 2 + 1;
        let reset = frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
        [frame(HEADERS, END_HEADERS | END_STREAM, stream, &slow), reset].concat()
    });

    // One at a time, so that each is begun before it is reset.
    let mut client = Frames::settled(&gateway, &[]);
    for number in 0..2_000 {
        let stream = number * 2 + 1;
        client.head(stream, END_STREAM, &slow).send(frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes()));
    }
    assert_eq!(client.expect(GOAWAY).code(), ENHANCE_YOUR_CALM);
}

#[test]
fn streams_that_we_are_made_to_reset_are_counted() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{HTTPS}{}", route_to(&[&backend])));

    flood(&gateway, "made you reset", &[], |number| {
        let stream = number * 2 + 1;
        // A window update of nothing is an error of its stream.
        let update = frame(WINDOW_UPDATE, 0, stream, &[0; 4]);
        [frame(HEADERS, END_HEADERS | END_STREAM, stream, &get()), update].concat()
    });
    flood(&gateway, "malformed", &[], |number| frame(HEADERS, END_HEADERS | END_STREAM, number * 2 + 1, &[0x82, 0x87]));
}

#[test]
fn more_streams_than_announced_are_refused_and_not_served() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{HTTPS}{}", route_to(&[&backend])));
    let mut client = Frames::settled(&gateway, &[]);

    for number in 0..101 {
        client.head(number * 2 + 1, 0, &post(&[]));
    }

    let refused = client.expect(RST_STREAM);
    assert_eq!((refused.stream, refused.code()), (201, 7));
}
