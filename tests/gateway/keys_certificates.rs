//! Keys of certificates and hosts: who is shown what, and to whom it is strict.

use std::process::{Command, Stdio};

use crate::support::client::Client;
use crate::support::gateway::{Gateway, Home};

const ROUTE: &str = "[[route]]\nrespond = { status = 200 }\n";

/// A home with certificates of two names and no address, and a TLS listener with these keys.
fn home(listener: &str, certificates: [&str; 2]) -> Home {
    let [a, b] = certificates;
    let home = Home::new(&format!(
        "[[listener]]\nname = \"https\"\nbind = \"127.0.0.1:0\"\n{listener}\
         [[certificate]]\ncert = \"a.crt\"\nkey = \"a.key\"\n{a}\
         [[certificate]]\ncert = \"b.crt\"\nkey = \"b.key\"\n{b}{ROUTE}"
    ));
    home.install("a", &["a.example"]);
    home.install("b", &["b.example"]);
    home
}

/// What openssl says of the listener, to which it sends these.
fn openssl(gateway: &Gateway, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &gateway.address("https").to_string()]).args(arguments);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// Which of the two a client without SNI is shown.
fn shown_without_name(gateway: &Gateway) -> Option<&'static str> {
    let (_, said) = openssl(gateway, &["-noservername"]);
    ["a", "b"].into_iter().find(|name| {
        let pem = std::fs::read_to_string(gateway.home().path(&format!("{name}.crt"))).unwrap();
        // Of the signature, which no other has.
        said.contains(pem.lines().rev().nth(2).unwrap())
    })
}

#[test]
fn a_client_without_a_name_gets_the_default_certificate() {
    let none = Gateway::in_home(home("tls = true\n", ["", ""]));
    assert_eq!(shown_without_name(&none), None);

    let marked = Gateway::in_home(home("tls = true\n", ["", "default = true\n"]));
    assert_eq!(shown_without_name(&marked), Some("b"));

    let chosen = "tls = { default_certificate = \"first\" }\n";
    let chosen = Gateway::in_home(home(chosen, ["name = \"first\"\n", "default = true\n"]));
    assert_eq!(shown_without_name(&chosen), Some("a"), "what the listener says comes first");
}

#[test]
fn a_certificate_is_shown_on_the_listeners_it_names_only() {
    let other = "tls = true\n[[listener]]\nname = \"other\"\nbind = \"127.0.0.1:0\"\ntls = true\n";
    let gateway = Gateway::in_home(home(other, ["", "listener = [\"other\"]\n"]));
    let speaks = |listener: &str, name: &str| {
        Client::try_tls(gateway.address(listener), &gateway.home().authority, name).is_ok()
    };

    assert!(speaks("other", "b.example") && !speaks("https", "b.example"));
    assert!(speaks("other", "a.example") && speaks("https", "a.example"));
}

#[test]
fn a_host_may_want_a_newer_version_than_its_listener() {
    let strict = "[[host]]\nname = \"b.example\"\nmin_version = \"1.3\"\n";
    let gateway = Gateway::in_home(home("tls = true\n", ["", strict]));

    for (name, version, content) in
        [("a.example", "-tls1_2", true), ("b.example", "-tls1_2", false), ("b.example", "-tls1_3", true)]
    {
        let (done, said) = openssl(&gateway, &["-servername", name, version]);
        assert_eq!(done, content, "{name} {version}\n{said}");
    }
}
