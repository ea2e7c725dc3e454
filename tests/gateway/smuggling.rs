//! Requests that two readers could understand differently: each is refused, its connection ends, and the backend is never
//! fooled into seeing the request hidden behind it.

use crate::support::client::Client;
use crate::support::configs::{HTTP, HTTPS, route_to};
use crate::support::gateway::Gateway;
use crate::support::script::Script;

/// What hides behind every attack: a backend or a gateway that took the attack for a whole request would see it.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Field lines of a POST whose body is `0 CRLF CRLF`.
const FIELDS: &[&[u8]] = &[
    b"Content-Length: 5\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: 5",
    b"Transfer-Encoding: chunked\r\nContent-Length: 0",
    b"Content-Length: 5\r\nContent-Length: 5",
    b"Content-Length: 5\r\nContent-Length: 6",
    b"Content-Length: 5\r\ncontent-length: 0",
    b"Content-Length: 5, 5",
    b"Content-Length: +5",
    b"Content-Length: -5",
    b"Content-Length: 0x5",
    b"Content-Length: 5 5",
    b"Content-Length: 5.0",
    b"Content-Length: 5;",
    b"Content-Length: 1e1",
    b"Content-Length: \"5\"",
    b"Content-Length:",
    b"Content-Length: 18446744073709551621",
    b"Content-Length: \xd9\xa5",
    b"Content-Length : 5",
    b"Content-Length\t: 5",
    b" Content-Length: 5",
    b"X: 1\r\n Content-Length: 5",
    b"X: 1\r\n\tTransfer-Encoding: chunked",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: chunked;q=1",
    b"Transfer-Encoding: \"chunked\"",
    b"Transfer-Encoding: chunked,",
    b"Transfer-Encoding: ,chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    b"Transfer-Encoding: identity\r\ntransfer-encoding: chunked",
    b"Transfer-Encoding:",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding: \x0bchunked",
    b"Transfer-Encoding: \xa0chunked",
    b"Transfer-Encoding: chu\0nked",
    b"Transfer-Encoding:\r\n chunked",
    b"Transfer-Encoding: chunked\nX: y",
    b"Transfer-Encoding: chunked\r",
    b"Transfer-Encoding",
    b"Transfer\0-Encoding: chunked",
    b"X: y\nTransfer-Encoding: chunked",
    b"X: y\rTransfer-Encoding: chunked",
    b"X: a\x01b",
    b"X: a\x7fb",
    b"X(y): a",
    b"X\x80: a",
    b": nameless",
    b"no colon",
    b"Host: localhost",
    b"Host: other.example",
];

/// Chunked bodies.
const CHUNKS: &[&[u8]] = &[
    b"g\r\nabc\r\n0\r\n\r\n",
    b"+3\r\nabc\r\n0\r\n\r\n",
    b"-3\r\nabc\r\n0\r\n\r\n",
    b"0x3\r\nabc\r\n0\r\n\r\n",
    b" 3\r\nabc\r\n0\r\n\r\n",
    b"3 \r\nabc\r\n0\r\n\r\n",
    b"3\nabc\n0\n\n",
    b"3\r\nabc\n0\r\n\r\n",
    b"3\r\nabc\r0\r\n\r\n",
    b"3\r\nabcd\r\n0\r\n\r\n",
    b"3\r\nabc0\r\n\r\n",
    b"3\rabc\r\n0\r\n\r\n",
    b"3\r\r\nabc\r\n0\r\n\r\n",
    b"3\r\nabc\r\n\r\n0\r\n\r\n",
    b"\r\n0\r\n\r\n",
    b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    b"00000000000000003\r\nabc\r\n0\r\n\r\n",
    b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    b"3;a\rb\r\nabc\r\n0\r\n\r\n",
    b"3;\0\r\nabc\r\n0\r\n\r\n",
    b"3 a\r\nabc\r\n0\r\n\r\n",
    b"3,3\r\nabc\r\n0\r\n\r\n",
    b"0\n\r\n",
    b"0\r\n\n",
    b"0\r\nX : y\r\n\r\n",
    b"0\r\n X: y\r\n\r\n",
    b"0\r\nX: y\nZ: z\r\n\r\n",
    b"0\r\nX: y\r\n folded\r\n\r\n",
    b"0\r\nnothing\r\n\r\n",
];

/// Whole heads, and the status each gets.
const HEADS: &[(&[u8], u16)] = &[
    (b"GET / HTTP/1.1\nHost: localhost\n\n", 400),
    (b"GET / HTTP/1.1\r\nHost: localhost\n\r\n", 400),
    (b"GET / HTTP/1.1\r\r\nHost: localhost\r\n\r\n", 400),
    (b"GET / HTTP/1.1\rHost: localhost\r\n\r\n", 400),
    (b"\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b" GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET\t/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET / HTTP/1.1 \r\nHost: localhost\r\n\r\n", 400),
    (b"GET /a b HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET /a\0b HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"G@T / HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET /\r\nHost: localhost\r\n\r\n", 400),
    (b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", 400),
    (b"GET / HTTP/1.1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET / http/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    (b"GET /a#b HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET /a?b#c HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET http://localhost/a?b#c HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET http://localhost#@other.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET http://other.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET http://localhost:81/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET http://user@localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET http://localhost@other.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET http:///a HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET ftp://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET http://localhost/ HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.0\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: localhost, other.example\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: localhost other.example\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: user@localhost\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: localhost/x\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: localhost#x\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: localhost:99999\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: localhost:80:80\r\n\r\n", 400),
    (b"POST / HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.0\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 200-ok\r\nContent-Length: 5\r\n\r\nhello", 417),
    (
        b"POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue, 100-continue\r\nContent-Length: 5\r\n\r\nhello",
        417,
    ),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\nExpect: x\r\nContent-Length: 43\r\n\r\n", 417),
    (b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n", 501),
    (b"TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n", 501),
];

/// A gateway with a plain and a TLS listener before a backend that answers each request with its own request line.
struct Scene {
    gateway: Gateway,
    backend: Script,
}

impl Scene {
    fn set() -> Self {
        let backend = Script::playing(|conversation| {
            while let Some(request) = conversation.request() {
                let length = request.line.len();
                conversation.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{}", request.line));
            }
        });
        Self { gateway: Gateway::serving(&format!("{HTTPS}{HTTP}{}", route_to(&[&backend]))), backend }
    }

    fn clients(&self) -> [Client; 2] {
        [self.gateway.connect("http"), self.gateway.connect_tls("https", "localhost")]
    }

    /// Sends an attack with a request hidden behind it, over TCP and over TLS. It must be refused with `status` and cost its
    /// connection; the backend must see nothing whole of it, and the next client must get its own answer.
    fn attack(&self, attack: &[u8], status: u16) {
        let shown = String::from_utf8_lossy(&attack[..attack.len().min(200)]);
        for mut client in self.clients() {
            let answer = client.send([attack, HIDDEN.as_bytes()].concat()).answer();
            assert_eq!(answer.status, status, "{shown:?}\n{answer:?}");
            assert!(answer.refusal().is_some(), "{shown:?} says why in Proxy-Status\n{answer:?}");
            assert_eq!(answer.field("connection"), Some("close"), "{shown:?}\n{answer:?}");
            client.expect_closed();
        }
        for (number, mut canary) in self.clients().into_iter().enumerate() {
            let answer = canary.ask(format!("GET /canary/{number} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
            assert_eq!(answer.text(), format!("GET /canary/{number} HTTP/1.1"), "after {shown:?}\n{answer:?}");
            assert_eq!(self.backend.received().line, answer.text(), "after {shown:?}");
        }
        assert_eq!(self.backend.left(), 0, "after {shown:?}");
    }
}

#[test]
fn fields_that_frame_a_body_in_doubtful_ways_are_refused() {
    let scene = Scene::set();
    for fields in FIELDS {
        let head: [&[u8]; 3] = [b"POST / HTTP/1.1\r\nHost: localhost\r\n", fields, b"\r\n\r\n0\r\n\r\n"];
        scene.attack(&head.concat(), 400);
    }
}

#[test]
fn chunks_that_are_not_quite_chunks_are_refused() {
    let scene = Scene::set();
    let head = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    for chunks in CHUNKS {
        scene.attack(&[head.as_slice(), chunks].concat(), 400);
    }
    let extensions = format!("1;{}\r\nx\r\n", "e".repeat(1000)).repeat(40);
    scene.attack(&[head.as_slice(), extensions.as_bytes(), b"0\r\n\r\n"].concat(), 400);
    let line = format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(2000));
    scene.attack(&[head.as_slice(), line.as_bytes()].concat(), 400);
    let trailers = format!("0\r\n{}\r\n", "X: y\r\n".repeat(40));
    scene.attack(&[head.as_slice(), trailers.as_bytes()].concat(), 400);
    let trailer = format!("0\r\nX: {}\r\n\r\n", "y".repeat(9000));
    scene.attack(&[head.as_slice(), trailer.as_bytes()].concat(), 400);
}

#[test]
fn heads_that_two_readers_read_differently_are_refused() {
    let scene = Scene::set();
    for (head, status) in HEADS {
        scene.attack(head, *status);
    }
    let long = "x".repeat(70_000);
    scene.attack(format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes(), 414);
    scene.attack(format!("{long} / HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes(), 414);
    scene.attack(format!("GET / HTTP/1.1\r\nHost: localhost\r\n{long}: y\r\n\r\n").as_bytes(), 431);
    scene.attack(format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n\r\n").as_bytes(), 431);
    let options = "x, ".repeat(400);
    scene.attack(format!("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: {options}\r\n\r\n").as_bytes(), 400);
}

#[test]
fn what_is_let_through_reaches_the_backend_in_one_clear_form() {
    let scene = Scene::set();
    let requests = [
        // An upgrade that nobody offered is no upgrade: what follows is the body, and the connection goes on as HTTP.
        ("Upgrade: h2c, websocket\r\nConnection: upgrade\r\nContent-Length: 3\r\n\r\nabc", "abc"),
        ("Transfer-Encoding: CHUNKED\r\n\r\n3;name=\"value\"\r\nabc\r\n0;last\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n"),
        ("Transfer_Encoding: chunked\r\nContent_Length: 9\r\nContent-Length:\t3 \r\n\r\nabc", "abc"),
        ("Connection: content-length, host\r\nContent-Length: 3\r\n\r\nabc", "abc"),
    ];
    for (request, body) in requests {
        for mut client in scene.clients() {
            let whole = format!("POST /clear HTTP/1.1\r\nHost: localhost\r\n{request}{HIDDEN}");
            assert_eq!(client.send(whole).answer().text(), "POST /clear HTTP/1.1", "{request:?}");
            let received = scene.backend.received();
            assert_eq!(String::from_utf8_lossy(&received.body), body, "{request:?}");
            let framing = ["content-length", "transfer-encoding"].map(|name| received.field(name).is_some());
            assert!(framing[0] != framing[1], "one framing: {:?}", received.fields);
            let left = ["upgrade", "transfer_encoding", "content_length"].map(|name| received.field(name).is_some());
            assert_eq!(left, [false; 3], "{:?}", received.fields);
            // The request behind it is one of its own.
            assert_eq!(client.answer().text(), "GET /hidden HTTP/1.1", "{request:?}");
            assert_eq!(scene.backend.received().line, "GET /hidden HTTP/1.1");
        }
    }
}
