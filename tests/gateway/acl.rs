//! Who may come, request by request: which list decides, on whose address, and what it looks like.

use std::net::IpAddr;

use crate::support::answer::Answer;
use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::configs::{HTTP, HTTPS, route_to};
use crate::support::gateway::Gateway;
use crate::support::http2::Http2;

const RESPOND: &str = "[[route]]\nname = \"all\"\nrespond = { status = 200, body = \"in\" }\n";

/// A global list and rules for paths below each other.
pub(crate) const RULES: &str = "[acl]\nallow = [\"127.0.0.0/30\"]\ndeny = [\"127.0.0.2\"]\n\
     [[acl.rule]]\npath = \"/admin/*\"\nallow = [\"127.0.0.1\", \"127.0.0.9\"]\n\
     [[acl.rule]]\npath = \"/admin/open/*\"\nallow = [\"0.0.0.0/0\"]\n\
     [[acl.rule]]\npath = \"/admin/open/shut\"\ndeny = [\"127.0.0.1\"]\n";

/// What clients at 127.0.0.1, .2, .3 and .9 get there.
pub(crate) const BY_RULE: [(&str, [u16; 4]); 14] = [
    ("/", [200, 403, 200, 403]),
    ("/administration", [200, 403, 200, 403]),
    ("/ADMIN", [200, 403, 200, 403]),
    ("/admin", [200, 403, 403, 200]),
    ("/admin/", [200, 403, 403, 200]),
    ("/admin/x?/admin/open/", [200, 403, 403, 200]),
    ("/%61dmin/x", [200, 403, 403, 200]),
    ("//admin//x", [200, 403, 403, 200]),
    ("/x/../admin/x", [200, 403, 403, 200]),
    ("/admin/open/../x", [200, 403, 403, 200]),
    ("/admin/open/x", [200, 200, 200, 200]),
    ("/admin/open/shut", [403, 200, 200, 200]),
    ("/admin/open/shut/", [200, 200, 200, 200]),
    ("/admin%2fx", [400, 403, 400, 403]),
];

/// A global list and a rule, and a route with a list of its own below it.
pub(crate) const OWN_LISTS: &str = "[acl]\ndeny = [\"127.0.0.2\", \"127.0.0.3\"]\n\
     [[acl.rule]]\npath = \"/a/*\"\nallow = [\"127.0.0.4\"]\n";
pub(crate) const OWN_ROUTE: &str = "[[route]]\nname = \"own\"\npath = \"/a/own\"\nrespond = { status = 200 }\n\
     acl = { allow = [\"127.0.0.0/29\"], deny = [\"127.0.0.3\"] }\n";

/// What clients at 127.0.0.1, .2, .3, .4 and .9 get there.
pub(crate) const OF_ROUTES: [(&str, [u16; 5]); 3] =
    [("/", [200, 403, 403, 200, 200]), ("/a/other", [403, 403, 403, 200, 403]), ("/a/own", [200, 200, 403, 200, 403])];

/// A client at 127.0.0.LAST.
fn at(gateway: &Gateway, last: u8) -> Client {
    Client::tcp_from(IpAddr::from([127, 0, 0, last]), gateway.address("http"))
}

fn ask(gateway: &Gateway, last: u8, target: &str) -> Answer {
    at(gateway, last).ask(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}

fn status(gateway: &Gateway, last: u8, target: &str) -> u16 {
    ask(gateway, last, target).status
}

fn refused(route: &str) -> String {
    format!("portcullis_refused_total{{reason=\"acl\",route=\"{route}\"}}")
}

#[test]
fn who_is_denied_is_told_why_and_so_is_the_log() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("[acl]\ndeny = [\"127.0.0.2\"]\n{HTTP}{}", route_to(&[&backend])));
    let mut client = at(&gateway, 2);

    let answer = client.ask("POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody");
    assert_eq!((answer.status, answer.refusal()), (403, Some("http_request_denied")), "{answer:?}");
    assert_eq!(client.ask("GET /y HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 403, "the connection goes on");

    assert_eq!(status(&gateway, 1, "/"), 200);
    assert_eq!(backend.count(), 1);
    let line = gateway.access(|line| line["path"] == "/y");
    let told = [&line["status"], &line["reason"], &line["client"], &line["route"]];
    assert_eq!(told, [&serde_json::json!(403), &"acl".into(), &"127.0.0.2".into(), &"all".into()], "{line}");
    assert_eq!(gateway.metric(&refused("all")), 2);
}

#[test]
fn the_longest_rule_takes_the_place_of_the_global_list() {
    let gateway = Gateway::serving(&format!("{RULES}{HTTP}{RESPOND}"));
    for (target, expected) in BY_RULE {
        assert_eq!([1, 2, 3, 9].map(|last| status(&gateway, last, target)), expected, "{target}");
    }
}

#[test]
fn a_routes_list_takes_the_place_of_rules() {
    let gateway = Gateway::serving(&format!("{OWN_LISTS}{HTTP}{RESPOND}{OWN_ROUTE}"));

    for (target, expected) in OF_ROUTES {
        assert_eq!([1, 2, 3, 4, 9].map(|last| status(&gateway, last, target)), expected, "{target}");
    }
    // Each counts for its route.
    gateway.wait_for_metric(&refused("own"), 2);
}

#[test]
fn a_denied_client_learns_neither_of_routes_nor_of_redirects() {
    let redirecting = HTTP.replace("\"http\"", "\"redirecting\"") + "redirect_https = true\n";
    let gateway = Gateway::serving(&format!(
        "[acl]\ndeny = [\"127.0.0.2\"]\n[[acl.rule]]\npath = \"/shut\"\nallow = [\"127.0.0.2\"]\n\
         {HTTP}status_path = \"/ping\"\n{redirecting}\
         [[route]]\nname = \"own\"\npath = \"/own\"\nrespond = {{ status = 204 }}\nacl = {{ deny = [\"127.0.0.1\"] }}\n"
    ));
    let redirected = |last: u8, target: &str| {
        let mut client = Client::tcp_from(IpAddr::from([127, 0, 0, last]), gateway.address("redirecting"));
        client.ask(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")).status
    };

    for (target, plain, secure) in [
        ("/ping", [200, 403], [308, 403]),
        ("/none", [404, 403], [308, 403]),
        ("/shut", [403, 404], [403, 308]),
        ("/own", [403, 204], [403, 308]),
    ] {
        assert_eq!([1, 2].map(|last| status(&gateway, last, target)), plain, "{target}");
        assert_eq!([1, 2].map(|last| redirected(last, target)), secure, "{target}");
    }
}

#[test]
fn the_client_that_a_trusted_proxy_names_is_held_against_the_list() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!(
        "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n\
         [acl]\ndeny = [\"203.0.113.0/24\", \"::ffff:198.51.100.7\", \"2001:db8::/32\", \"127.0.0.1\", \"127.0.0.3\"]\n\
         {HTTPS}{HTTP}{}",
        route_to(&[&backend])
    ));
    for (last, named, expected) in [
        (1, "192.0.2.1", 200),
        (1, "203.0.113.9", 403),
        (1, "192.0.2.1, 203.0.113.9", 403),
        (1, "203.0.113.9, 192.0.2.1", 200),
        (1, "::ffff:203.0.113.9", 403),
        (1, "[::ffff:198.51.100.7]:80", 403),
        (1, "::ffff:198.51.100.8", 200),
        (1, "2001:db8::1", 403),
        (1, "nobody", 403),
        // Whom nobody believes: its own address counts.
        (2, "203.0.113.9", 200),
        (3, "192.0.2.1", 403),
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {named}\r\n\r\n");
        let answer = at(&gateway, last).ask(&request);
        assert_eq!(answer.status, expected, "{last} {named} {answer:?}");
        if last == 1 {
            let over_tls = gateway.connect_tls("https", "localhost").ask(&request);
            assert_eq!(over_tls.status, expected, "{named} {over_tls:?}");
        }
    }
}

#[test]
fn a_saved_list_holds_for_the_next_request_of_an_open_connection() {
    let config = format!("{HTTPS}{HTTP}{RESPOND}");
    let gateway = Gateway::serving(&config);
    let get = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut open = [gateway.connect("http"), gateway.connect_tls("https", "localhost")];
    let mut second = Http2::connect(&gateway);
    let mut statuses = || {
        let first = open.each_mut().map(|client| client.ask(get).status);
        [first[0], first[1], second.get("/").unwrap().status]
    };
    assert_eq!(statuses(), [200; 3]);

    gateway.save(&format!("[acl]\nallow = [\"127.0.0.2\"]\n{config}"));
    assert_eq!(statuses(), [403; 3]);

    gateway.save(&format!("[acl]\nallow = [\"127.0.0.1\"]\n{config}"));
    assert_eq!(statuses(), [200; 3]);
}

#[test]
fn what_is_observed_is_told_and_goes_on() {
    let acl =
        "[acl]\nmode = \"observe\"\ndeny = [\"127.0.0.2\"]\n[[acl.rule]]\npath = \"/rule\"\ndeny = [\"127.0.0.2\"]\n";
    let own = |path: &str, mode: &str| {
        format!(
            "[[route]]\npath = \"{path}\"\nrespond = {{ status = 200 }}\nacl = {{ deny = [\"127.0.0.2\"]{mode} }}\n"
        )
    };
    let routes = format!("{RESPOND}{}{}", own("/inherits", ""), own("/enforces", ", mode = \"enforce\""));
    let gateway = Gateway::serving(&format!("{acl}{HTTP}{routes}"));
    let observed = |route: &str| format!("portcullis_observed_total{{reason=\"acl\",route=\"{route}\"}}");

    for (target, expected) in [("/a", 200), ("/rule", 200), ("/inherits", 200), ("/enforces", 403)] {
        assert_eq!(status(&gateway, 2, target), expected, "{target}");
        assert_eq!(status(&gateway, 1, target), 200, "{target}");
    }

    let line = gateway.access(|line| line["path"] == "/a" && line["client"] == "127.0.0.2");
    assert_eq!((&line["observed"], &line["reason"]), (&serde_json::json!(["acl"]), &serde_json::Value::Null), "{line}");
    let line = gateway.access(|line| line["path"] == "/a" && line["client"] == "127.0.0.1");
    assert!(line["observed"].is_null(), "{line}");
    let line = gateway.access(|line| line["path"] == "/enforces" && line["client"] == "127.0.0.2");
    assert_eq!((&line["reason"], &line["observed"]), (&"acl".into(), &serde_json::Value::Null), "{line}");
    gateway.wait_for_metric(&observed("all"), 2);
    gateway.wait_for_metric(&observed("*/inherits"), 1);
    let rest = [observed("*/enforces"), refused("all"), refused("*/inherits"), refused("*/enforces")];
    assert_eq!(rest.map(|metric| gateway.metric(&metric)), [0, 0, 0, 1]);
}
