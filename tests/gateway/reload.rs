//! Saved is live: the config and the certificates, with nobody noticing but by the change.

use crate::support::backend::Backend;
use crate::support::configs::{HTTP, HTTPS, route_to};
use crate::support::events::{CERTIFICATE_REFUSED, CERTIFICATE_REPLACED, CONFIG_REFUSED, SERVING};
use crate::support::gateway::{Gateway, Home};

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[test]
fn a_saved_config_is_live_on_open_connections_too() {
    let (old, new) = (Backend::named("old"), Backend::named("new"));
    let gateway = Gateway::serving(&format!("{HTTP}{}", route_to(&[&old])));
    let mut open = gateway.connect("http");
    assert_eq!(open.ask(GET).text(), "old");

    gateway.save(&format!("{HTTP}{}", route_to(&[&new])));

    assert_eq!(open.ask(GET).text(), "new");
    assert_eq!(gateway.connect("http").ask(GET).text(), "new");
}

#[test]
fn a_config_written_in_place_is_live() {
    let (old, new) = (Backend::named("old"), Backend::named("new"));
    let gateway = Gateway::serving(&format!("{HTTP}{}", route_to(&[&old])));

    std::fs::write(gateway.home().config(), format!("{HTTP}{}", route_to(&[&new]))).unwrap();

    gateway.event_where(SERVING, |event| event["generation"] == 2);
    assert_eq!(gateway.connect("http").ask(GET).text(), "new");
}

#[test]
fn a_config_behind_a_swapped_symlink_is_live() {
    use std::os::unix::fs::symlink;

    // As Kubernetes mounts a ConfigMap: file → ..data/file, ..data → a directory per version.
    let (old, new) = (Backend::named("old"), Backend::named("new"));
    let home = Home::new("");
    for (version, backend) in [("v1", &old), ("v2", &new)] {
        std::fs::create_dir(home.path(version)).unwrap();
        let config = format!("{HTTP}{}", route_to(&[backend]));
        std::fs::write(home.path(version).join("portcullis.toml"), config).unwrap();
    }
    std::fs::remove_file(home.config()).unwrap();
    symlink("v1", home.path("..data")).unwrap();
    symlink("..data/portcullis.toml", home.config()).unwrap();
    let gateway = Gateway::in_home(home);

    symlink("v2", gateway.home().path("..new")).unwrap();
    std::fs::rename(gateway.home().path("..new"), gateway.home().path("..data")).unwrap();

    gateway.event_where(SERVING, |event| event["generation"] == 2);
    assert_eq!(gateway.connect("http").ask(GET).text(), "new");
}

#[test]
fn a_bad_config_changes_nothing_and_is_told() {
    let backend = Backend::named("one");
    let good = format!("{HTTP}{}", route_to(&[&backend]));
    let gateway = Gateway::serving(&good);

    gateway.home().replace("portcullis.toml", &good.replace("pool", "pol"));
    gateway.event_where(CONFIG_REFUSED, |event| event["problem"].as_str().unwrap().contains("unknown key `pol`"));

    assert_eq!(gateway.connect("http").ask(GET).text(), "one");
    gateway.save(&format!("{good}\n# mended\n[log]\nlevel = \"debug\"\n"));
    assert_eq!(gateway.connect("http").ask(GET).text(), "one");
}

#[test]
fn a_new_certificate_is_live_and_open_connections_stay() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{HTTPS}{}", route_to(&[&backend])));
    let mut open = gateway.connect_tls("https", "localhost");
    assert_eq!(open.ask(GET).status, 200);
    let before = gateway.connect_tls("https", "localhost").certificate();

    gateway.home().install("localhost", &["localhost", "127.0.0.1", "::1"]);
    gateway.event(CERTIFICATE_REPLACED);

    assert_ne!(gateway.connect_tls("https", "localhost").certificate(), before);
    assert_eq!(open.ask(GET).status, 200);
}

#[test]
fn a_pair_that_does_not_fit_is_refused_and_the_old_one_serves_on() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!("{HTTPS}{}", route_to(&[&backend])));
    let before = gateway.connect_tls("https", "localhost").certificate();

    let stranger = gateway.home().authority.issue(&["localhost"]);
    gateway.home().replace("localhost.key", &stranger.key);
    gateway.event(CERTIFICATE_REFUSED);

    let mut client = gateway.connect_tls("https", "localhost");
    assert_eq!(client.certificate(), before);
    assert_eq!(client.ask(GET).status, 200);
}
