//! The README's examples of other ways in and out than plain TCP, served.

use std::fs;

use crate::support::client::Client;
use crate::support::gateway::Gateway;
use crate::support::served::{LISTENER, Served, furnished, whole};
use crate::support::servers::Nginx;

#[test]
fn behind_a_load_balancer_the_client_that_it_names_is_the_client() {
    let own = |config: String| {
        config.replace("\"0.0.0.0:443\", \"[::]:443\"", "\"127.0.0.1:0\"").replace("10.0.0.0/8", "127.0.0.0/8")
    };
    let served = Served::changed("**Behind a load balancer that passes TCP on**", own, "127.0.0.1:0");
    let address = served.gateway.address(served.https);

    let curl = served.gateway.curl().arg("--haproxy-protocol").arg("--interface").arg("127.0.0.9");
    let curl = curl.arg("--resolve").arg(format!("example.com:{}:127.0.0.1", address.port()));
    let backend = curl.ask(&format!("https://example.com:{}/", address.port())).text();

    assert_eq!(served.backends[&backend].received().field("x-forwarded-for"), Some("127.0.0.9"));
    assert!(Client::try_tls(address, &served.gateway.home().authority, "example.com").is_err());
}

#[test]
fn the_most_specific_list_decides_who_may_come() {
    let own = |config: String| {
        let config = config.replace("203.0.113.0/24", "127.0.3.0/24").replace("10.0.0.0/8", "127.0.10.0/24");
        let config = config.replace("192.168.1.", "127.0.168.");
        format!("{config}[[listener]]\nname = \"plain\"\nbind = \"127.0.0.1:0\"\n")
    };
    let served = Served::changed("**Who may come**", own, "plain");
    let ask = |from: [u8; 4], host: &str, target: &str| {
        let mut client = Client::tcp_from(from.into(), served.gateway.address("plain"));
        client.ask(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).status
    };

    for (from, root, admin, staff) in [
        ([127, 0, 0, 1], 200, 403, 403),
        ([127, 0, 3, 1], 403, 403, 403),
        ([127, 0, 10, 1], 200, 200, 403),
        ([127, 0, 168, 1], 200, 403, 200),
        ([127, 0, 168, 77], 200, 403, 403),
    ] {
        let (site, private) = ("example.com", "staff.example.com");
        let statuses = [ask(from, site, "/"), ask(from, site, "/admin/x"), ask(from, private, "/admin/x")];
        assert_eq!(statuses, [root, admin, staff], "{from:?}");
    }
}

#[test]
fn a_backend_learns_the_clients_address_from_its_connection() {
    let nginx = Nginx::listening("http", " proxy_protocol", "location / { return 200 $proxy_protocol_addr; }");
    let config = whole("**A backend that wants to know the client's address**");
    let config = config.replace("http://10.0.6.1:8080", &nginx.to_string());
    let gateway = Gateway::in_home(furnished(&format!("{config}{LISTENER}")));
    let request = "GET / HTTP/1.1\r\nHost: knowing.example.com\r\n\r\n";

    let answer = gateway.connect_tls("https", "knowing.example.com").ask(request);

    assert_eq!(answer.text(), "127.0.0.1", "{answer:?}");
}

#[test]
fn unix_sockets_are_a_way_in_and_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let app = folder.path().join("app.sock");
    let nginx = Nginx::serving(&format!("listen unix:{};", app.display()));
    fs::write(nginx.root().join("page"), "from the app").unwrap();
    let config = whole("**A Unix socket**").replace("/run/portcullis/http.sock", "http.sock");
    let config = config.replace("/run/app/app.sock", &app.display().to_string());
    let gateway = Gateway::in_home(furnished(&config));
    let request = "GET /page HTTP/1.1\r\nHost: app.example.com\r\n\r\n";

    assert_eq!(gateway.connect_unix("http.sock").ask(request).text(), "from the app");
}

#[test]
fn rate_limits_hold_as_the_page_says() {
    let served = Served::example("**Rate limits.**");
    let ask = |host: &str| served.ask("GET", host, "/", "X-Api-Key: k\r\n");

    assert_eq!([ask("limited.example.com").status, ask("limited.example.com").status], [200; 2]);

    let refused = ask("limited.example.com");
    assert_eq!(refused.status, 429, "{refused:?}");
    assert_eq!(refused.field("ratelimit-policy"), Some("\"header:x-api-key\";q=1000;w=3600"));
    assert!(refused.field("retry-after").is_some());
    assert_eq!(ask("example.com").status, 200);
}
