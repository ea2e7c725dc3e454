//! What is explained is what happens: one table of cases, sent to the gateway and asked about, by its admin listener and of its
//! config file.

use std::time::Instant;

use crate::acl::{BY_RULE, OF_ROUTES, OWN_LISTS, RULES};
use crate::support::PATIENCE;
use crate::support::backend::Backend;
use crate::support::cases::{Case, agree, agrees};
use crate::support::configs::{HTTP, HTTPS};
use crate::support::gateway::{Gateway, Home};

const RESPOND: &str = "[[route]]\nname = \"all\"\nrespond = { status = 200 }\n";

/// A route that answers by itself.
fn route(name: &str, keys: &str) -> String {
    format!("[[route]]\nname = \"{name}\"\n{keys}\nrespond = {{ status = 200 }}\n")
}

#[test]
fn routes() {
    let routes = [
        ("exact", "host = \"example.com\"\npath = \"/a/b\""),
        ("prefix", "host = \"example.com\"\npath = \"/a/*\""),
        ("longer", "host = \"example.com\"\npath = \"/a/b/*\""),
        ("regex", "host = \"example.com\"\npath = \"~/r/[0-9]+\""),
        ("host", "host = \"example.com\""),
        ("post", "host = \"example.com\"\npath = \"/a/b\"\nmethod = [\"POST\", \"PUT\"]"),
        ("group", "host = \"example.com\"\npath = \"/a/b\"\nheader = { X-Group = \"B\" }"),
        ("two", "host = \"example.com\"\npath = \"/a/b\"\nheader = { X-Group = \"B\", X-More = \"*\" }"),
        ("query", "host = \"example.com\"\npath = \"/a/b\"\nquery = { v = \"~[0-9]+\" }"),
        ("wild", "host = \"*.example.com\""),
        ("wilder", "host = \"*.b.example.com\"\npath = \"/only\""),
        ("other", "listener = [\"second\"]\npath = \"/second\""),
        ("any", "path = \"/any/*\""),
    ];
    let routes: String = routes.iter().map(|(name, keys)| route(name, keys)).collect();
    let second = HTTP.replace("\"http\"", "\"second\"");
    let gateway = Gateway::serving(&format!("{HTTP}{second}{routes}"));
    agree(
        &gateway,
        &[
            ("GET http://example.com/a/b", "200 answered exact"),
            ("GET http://EXAMPLE.com/a/b", "200 answered exact"),
            ("GET http://example.com/a/./x/../b", "200 answered exact"),
            ("GET http://example.com/a//%62", "200 answered exact"),
            ("GET http://example.com/a/b/", "200 answered longer"),
            ("GET http://example.com/a/bc", "200 answered prefix"),
            ("GET http://example.com/A/b", "200 answered host"),
            ("GET http://example.com/r/42", "200 answered regex"),
            ("GET http://example.com/r/42/x", "200 answered host"),
            ("POST http://example.com/a/b", "200 answered post"),
            ("post http://example.com/a/b", "200 answered exact"),
            ("GET http://example.com/a/b | x-group: B", "200 answered group"),
            ("GET http://example.com/a/b | X-Group: b", "200 answered exact"),
            ("GET http://example.com/a/b | X-Group: A | X-Group: B | X-More:", "200 answered two"),
            ("GET http://example.com/a/b?v=1", "200 answered query"),
            ("GET http://example.com/a/b?v=x&v=1", "200 answered exact"),
            ("HEAD http://www.example.com/a/b", "200 answered wild"),
            ("GET http://a.b.example.com/only", "200 answered wilder"),
            ("GET http://a.b.example.com/", "200 answered wild"),
            ("GET http://other.example/any/x", "200 answered any"),
            ("GET http://other.example/second @second", "200 answered other"),
            ("GET http://other.example/second", "404 no_route -"),
            ("GET http://other.example/", "404 no_route -"),
            ("GET http://example.com/ | Host: other.example", "404 no_route -"),
        ],
    );
    let explanation = Case::new("GET http://example.com/a/b?v=1").explained(&gateway);
    assert_eq!(
        explanation["route"]["matched"],
        serde_json::json!(["host example.com exactly", "path /a/b exactly", "query v"])
    );
    assert_eq!(explanation["next_route"], "exact", "{explanation:#}");
    let passed = serde_json::json!([
        { "name": "post", "lack": "method" },
        { "name": "two", "lack": "header" },
        { "name": "group", "lack": "header" },
    ]);
    assert_eq!(explanation["passed_over"], passed);
    let place = explanation["route"]["place"].as_str().unwrap();
    let (file, line) = place.rsplit_once(':').unwrap();
    let text = std::fs::read_to_string(file).unwrap();
    let from: Vec<&str> = text.lines().skip(line.parse::<usize>().unwrap() - 1).take(2).collect();
    assert_eq!(from, ["[[route]]", "name = \"query\""], "{place}");
}

#[test]
fn what_is_malformed_ambiguous_or_too_large() {
    let backend = Backend::named("one");
    let small = "limits = { uri_size = \"256 B\", header_fields = 6, header_size = \"1 KiB\" }\n";
    let strip = "[[route]]\nname = \"strip\"\npath = \"/api/*\"\nrewrite = { strip_prefix = \"/api\" }\n";
    let keep = "[[route]]\nname = \"keep\"\npath = \"/keep/*\"\nencoded_slash = \"keep\"\n";
    let gateway = Gateway::serving(&format!(
        "{HTTP}{small}{strip}pool = [\"{backend}\"]\n{keep}respond = {{ status = 200 }}\n\
         [[route]]\nname = \"all\"\nbody_limit = \"1 KiB\"\npool = [\"{backend}\"]\n"
    ));
    let long = format!("GET http://a/{}", "x".repeat(300));
    let large = format!("GET http://a/ | X: {}", "x".repeat(1_100));
    let listing = format!("GET http://a/ | Connection: {}", "x,".repeat(500));
    agree(
        &gateway,
        &[
            ("GET http://a/a%2fb", "400 ambiguous_path all"),
            ("GET http://a/keep/a%2fb", "200 answered keep"),
            ("GET http://a/a%5cb", "400 ambiguous_path -"),
            ("GET http://a/a\\b", "400 ambiguous_path -"),
            ("GET http://a/a%00b", "400 ambiguous_path -"),
            ("GET http://a/a/%2e%2e/b", "400 ambiguous_path -"),
            ("GET http://a/../b", "400 ambiguous_path -"),
            ("GET http://a/a%2", "400 ambiguous_path -"),
            ("GET http://a/%61pi/x", "400 ambiguous_rewrite strip"),
            ("GET http://a/api//x?y", "200 forwarded strip"),
            ("GET http://a/ | Host: a/b", "400 malformed_host -"),
            ("GET http://a/ | Host: 1.2.3", "400 malformed_host -"),
            ("GET http://a/ | Host: a | Host: a", "400 malformed_host -"),
            ("GET http://a/ | X-A: \u{1}", "400 malformed_syntax -"),
            ("POST http://a/ | Content-Length: 1 | Content-Length: 1", "400 malformed_framing -"),
            ("POST http://a/ | Content-Length: +1", "400 malformed_framing -"),
            ("POST http://a/ | Content-Length: 1 | Transfer-Encoding: chunked", "400 malformed_framing -"),
            ("POST http://a/ | Transfer-Encoding: gzip", "400 malformed_framing -"),
            ("POST http://a/ | Content-Length: 1025", "413 body_too_large all"),
            ("GET http://a/ | Expect: the unexpected", "417 expectation_failed -"),
            ("TRACE http://a/", "501 method_refused -"),
            (&long, "414 uri_too_long -"),
            ("GET http://a/ | A: 1 | B: 2 | C: 3 | D: 4 | E: 5 | F: 6", "431 headers_too_large -"),
            (&large, "431 headers_too_large -"),
            ("GET http://a/ | A: 1 | B: 2 | C: 3 | D: 4 | E: 5", "200 forwarded all"),
        ],
    );
    let roomy = Gateway::serving(&format!("{HTTP}[[route]]\nname = \"all\"\npool = [\"{backend}\"]\n"));
    let listing = listing.replace("x,x,", "x,x,x,");
    agree(&roomy, &[(&listing, "400 malformed_syntax all"), ("GET http://a/ | Connection: x", "200 forwarded all")]);
}

#[test]
fn lists_decide_as_the_rules_say() {
    let gateway = Gateway::serving(&format!("{RULES}{HTTP}{RESPOND}"));
    for (target, statuses) in BY_RULE {
        for (last, status) in [1, 2, 3, 9].into_iter().zip(statuses) {
            let expected = match status {
                200 => "200 answered all",
                400 => "400 ambiguous_path all",
                _ => "403 acl all",
            };
            agrees(&gateway, &format!("{last} GET http://localhost{target}"), expected);
        }
    }
    agree(
        &gateway,
        &[("2 GET http://localhost/admin/x", "403 acl all"), ("9 GET http://localhost/admin/x", "200 answered all")],
    );
}

#[test]
fn a_routes_own_list_decides_alone() {
    let gateway = Gateway::serving(&format!("{OWN_LISTS}{HTTP}{RESPOND}{}", crate::acl::OWN_ROUTE));
    for (target, statuses) in OF_ROUTES {
        for (last, status) in [1, 2, 3, 4, 9].into_iter().zip(statuses) {
            let end = if status == 200 { "200 answered" } else { "403 acl" };
            let route = if target == "/a/own" { "own" } else { "all" };
            agrees(&gateway, &format!("{last} GET http://localhost{target}"), &format!("{end} {route}"));
        }
    }
    let list = |text: &str| {
        let explanation = Case::new(text).explained(&gateway);
        let verdicts = explanation["verdicts"].as_array().unwrap().clone();
        let list = verdicts.iter().find(|verdict| verdict["by"] == "acl").unwrap()["list"].clone();
        let place = list["place"].as_str().unwrap();
        let line = place.rsplit_once(':').map(|(file, line)| {
            let text = std::fs::read_to_string(file).unwrap();
            text.lines().nth(line.parse::<usize>().unwrap() - 1).unwrap().to_owned()
        });
        let network = list["network"].as_str().unwrap_or("-").to_owned();
        (list["of"].as_str().unwrap().to_owned(), network, line.unwrap_or_default())
    };
    let decides = |of: &str, network: &str, line: &str| (of.to_owned(), network.to_owned(), line.to_owned());
    let own = "acl = { allow = [\"127.0.0.0/29\"], deny = [\"127.0.0.3\"] }";
    assert_eq!(list("1 GET http://a/a/own"), decides("route", "127.0.0.0/29", own));
    assert_eq!(list("3 GET http://a/a/own"), decides("route", "127.0.0.3/32", own));
    assert_eq!(list("9 GET http://a/a/own"), decides("route", "-", ""));
    assert_eq!(list("4 GET http://a/a/x"), decides("rule", "127.0.0.4/32", "allow = [\"127.0.0.4\"]"));
    assert_eq!(list("2 GET http://a/"), decides("global", "127.0.0.2/32", "deny = [\"127.0.0.2\", \"127.0.0.3\"]"));

    // A line more above it: what is told is where it stands now.
    let config = std::fs::read_to_string(gateway.home().config()).unwrap();
    gateway.home().replace("portcullis.toml", &format!("# moved\n\n{config}"));
    let end = Instant::now() + PATIENCE;
    while list("2 GET http://a/") != decides("global", "127.0.0.2/32", "deny = [\"127.0.0.2\", \"127.0.0.3\"]") {
        assert!(Instant::now() < end, "{}", gateway.output());
    }
}

#[test]
fn doors_that_open_to_few() {
    let redirecting = HTTP.replace("\"http\"", "\"redirecting\"") + "redirect_https = 8443\n";
    let gateway = Gateway::serving(&format!(
        "[acl]\ndeny = [\"127.0.0.2\"]\n[[acl.rule]]\npath = \"/shut\"\nallow = [\"127.0.0.2\"]\n\
         {HTTP}status_path = \"/ping\"\n{redirecting}\
         [[route]]\nname = \"own\"\npath = \"/own\"\nrespond = {{ status = 204 }}\nacl = {{ deny = [\"127.0.0.1\"] }}\n"
    ));
    agree(
        &gateway,
        &[
            ("GET http://localhost/ping", "200 answered -"),
            ("2 GET http://localhost/ping", "403 acl -"),
            ("GET http://localhost/none", "404 no_route -"),
            ("2 GET http://localhost/none", "403 acl -"),
            ("GET http://localhost/own", "403 acl own"),
            ("2 GET http://localhost/own", "204 answered own"),
            ("GET http://localhost/x?y @redirecting", "308 answered -"),
            ("2 GET http://localhost/ @redirecting", "403 acl -"),
            ("GET http://localhost/own @redirecting", "403 acl own"),
            ("2 GET http://localhost/own @redirecting", "308 answered -"),
            ("GET http://localhost/shut @redirecting", "403 acl -"),
        ],
    );
}

#[test]
fn connections_that_are_one_too_many() {
    let config = format!("{HTTP}max_connections = 1\n{RESPOND}");
    let gateway = Gateway::serving(&config);
    let mut first = gateway.connect("http");
    assert_eq!(first.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status, 200);
    gateway.access(|line| line["status"] == 200);
    agrees(&gateway, "GET http://a/", "hung max_connections -");

    gateway.save(&config.replace("max_connections", "max_connections_per_ip"));
    agrees(&gateway, "GET http://a/", "hung max_connections_per_ip -");
    agrees(&gateway, "2 GET http://a/", "200 answered all");
}

#[test]
fn the_client_that_a_trusted_proxy_names() {
    let gateway = Gateway::serving(&format!(
        "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n\
         [acl]\ndeny = [\"203.0.113.0/24\", \"2001:db8::/32\", \"127.0.0.1\", \"127.0.0.3\"]\n{HTTPS}{HTTP}{RESPOND}"
    ));
    agree(
        &gateway,
        &[
            ("GET http://localhost/ | X-Forwarded-For: 192.0.2.1", "200 answered all"),
            ("GET http://localhost/ | X-Forwarded-For: 203.0.113.9", "403 acl all"),
            ("GET https://localhost/ | X-Forwarded-For: 203.0.113.9", "403 acl all"),
            ("GET http://localhost/ | X-Forwarded-For: 203.0.113.9, 192.0.2.1", "200 answered all"),
            ("GET http://localhost/ | X-Forwarded-For: [2001:db8::1]:80", "403 acl all"),
            ("GET http://localhost/ | X-Forwarded-For: nobody", "403 acl all"),
            ("2 GET http://localhost/ | X-Forwarded-For: 203.0.113.9", "200 answered all"),
            ("3 GET http://localhost/ | X-Forwarded-For: 192.0.2.1", "403 acl all"),
        ],
    );
}

#[test]
fn certificates_and_handshakes() {
    let home = Home::new("");
    home.install("site", &["example.com", "*.example.com"]);
    let site = "[[certificate]]\nname = \"site\"\ncert = \"site.crt\"\nkey = \"site.key\"\n";
    let hosts = "[[host]]\nname = \"example.com\"\nhsts = \"1d\"\n";
    home.replace("portcullis.toml", &format!("[acl]\ndeny = [\"127.0.0.2\"]\n{HTTPS}{site}{hosts}{RESPOND}"));
    let gateway = Gateway::in_home(home);
    agree(
        &gateway,
        &[
            ("GET https://localhost/", "200 answered all"),
            ("GET https://example.com/", "200 answered all"),
            ("GET https://www.example.com/", "200 answered all"),
            ("GET https://127.0.0.1/", "200 answered all"),
            ("GET https://localhost/ | Host: example.com", "421 misdirected -"),
            ("GET https://example.com/ | Host: www.example.com:1", "200 answered all"),
            ("GET https://127.0.0.1/ | Host: localhost", "200 answered all"),
            ("GET https://a.b.example.com/", "hung unknown_name -"),
            ("GET https://example.org/", "hung unknown_name -"),
            ("2 GET https://localhost/", "hung acl -"),
        ],
    );
    let certificate = |text: &str| {
        let explanation = Case::new(text).explained(&gateway);
        let certificate = &explanation["certificate"];
        (certificate["name"].as_str().unwrap().to_owned(), certificate["why"].as_str().unwrap().to_owned())
    };
    let local = gateway.ask_admin("/api/v1/status").text();
    let local: serde_json::Value = serde_json::from_str(&local).unwrap();
    let local = local["certificates"][0]["name"].as_str().unwrap().to_owned();
    assert_eq!(
        certificate("GET https://www.example.com/"),
        ("site".into(), "it has the wildcard *.example.com".into())
    );
    assert_eq!(certificate("GET https://localhost/"), (local.clone(), "it has the name localhost".into()));
    let by_address = "the client sends no name, and it has the address 127.0.0.1".to_owned();
    assert_eq!(certificate("GET https://127.0.0.1/"), (local, by_address));
    agrees(&gateway, "GET http://localhost/ @https", "400 plain_http -");
}
