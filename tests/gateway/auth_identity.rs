//! Who a client is, nobody says but the gateway: on no route, in no spelling, in no trailer.

use crate::support::backend::Backend;
use crate::support::configs::HTTP;
use crate::support::credentials::{basic, user};
use crate::support::gateway::{Gateway, Home};
use crate::support::script::Script;

const FORGED: &str = "X-User: root\r\nX_USER: root\r\nX-Groups: root\r\nx_groups: root\r\n";

/// A route without auth, one with names and passwords, and one with a service; all of one backend.
fn gateway(backend: &Script, service: &Script) -> Gateway {
    let home = Home::new(&format!(
        "{HTTP}[pool.p]\nbackends = [\"{backend}\"]\n[[route]]\npool = \"p\"\n\
         [[route]]\npath = \"/staff/*\"\npool = \"p\"\nauth = {{ basic_file = \"users\", user_header = \"X-User\" }}\n\
         [[route]]\npath = \"/sso/*\"\npool = \"p\"\nauth = {{ forward = {{ url = \"{service}\", copy_headers = [\"X-Groups\"] }} }}\n"
    ));
    home.replace("users", &user("ann", "secret"));
    Gateway::in_home(home)
}

fn service() -> Script {
    Script::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Groups: staff\r\n\r\n")
}

#[test]
fn what_one_route_says_of_clients_no_client_says_on_another() {
    let (backend, service) = (Script::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), service());
    let gateway = gateway(&backend, &service);
    let right = basic("ann", "secret");
    for (path, fields, user, groups) in [
        ("/", "", vec![], vec![]),
        ("/staff/x", right.as_str(), vec!["ann"], vec![]),
        ("/sso/x", "", vec![], vec!["staff"]),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{FORGED}{fields}\r\n");
        assert_eq!(gateway.connect("http").ask(request).status, 200, "{path}");
        let received = backend.received();
        assert_eq!((received.fields("x-user"), received.fields("x-groups")), (user, groups), "{path}");
        assert!(received.fields.iter().all(|(_, value)| value != "root"), "{path} {:?}", received.fields);
    }
    assert!(service.received().fields.iter().all(|(name, _)| !name.eq_ignore_ascii_case("x-groups")));
}

#[test]
fn nor_in_trailers() {
    let backend = Script::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let gateway = gateway(&backend, &service());
    for (trailer, expected) in [("X-Sum: 1", true), ("X-User: root", false), ("x_groups: root", false)] {
        let request = format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npaid\r\n0\r\n{trailer}\r\n\r\n"
        );
        assert_eq!(gateway.connect("http").ask(request).status, 200);
        let received = String::from_utf8(backend.received().body).unwrap().to_lowercase();
        assert_eq!(received.contains(&trailer.to_lowercase()), expected, "{trailer}: {received}");
    }
}

#[test]
fn a_service_is_told_the_path_that_decides() {
    let backend = Backend::named("one");
    let service = service();
    let gateway =
        Gateway::serving(&format!("{HTTP}[[route]]\npool = [\"{backend}\"]\nauth = {{ forward = \"{service}\" }}\n"));
    for (target, told) in [
        ("/public/../admin?a=/../b", "/admin?a=/../b"),
        ("//admin", "/admin"),
        ("/%61dmin", "/admin"),
        ("/a/./b?", "/a/b?"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nX-Original-URL: /public\r\n\r\n");
        assert_eq!(gateway.connect("http").ask(request).status, 200, "{target}");
        let asked = service.received();
        assert_eq!((asked.field("x-forwarded-uri"), asked.field("x-original-url")), (Some(told), None));
    }
}
