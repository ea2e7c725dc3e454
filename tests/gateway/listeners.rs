//! Listeners that come, go and change their name while others serve.

use std::net::{SocketAddr, TcpListener};
use std::sync::Mutex;

use rustix::process::Signal;
use socket2::{Domain, Socket, Type};

use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::configs::{HTTP, HTTPS, route_to};
use crate::support::events::{CONFIG_REFUSED, LISTENING, NO_LONGER_LISTENING, SERVING};
use crate::support::gateway::{Gateway, portcullis};
use crate::support::load::{H2load, Wrk};
use crate::support::process::Process;
use crate::support::script::Script;

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
/// How often a listener comes and goes.
const ROUNDS: usize = 5;

fn listener(name: &str, address: &str) -> String {
    format!("\n[[listener]]\nname = \"{name}\"\nbind = \"{address}\"\n")
}

#[test]
fn listeners_come_and_go_and_the_others_serve_on() {
    let backend = Backend::named("one");
    let kept = format!("{HTTPS}{}", route_to(&[&backend]));
    let gateway = Gateway::serving(&kept);
    let wrk = Wrk::on(&gateway.url("https", "/"), 8);
    let h2load = H2load::on(&gateway.url("https", "/"), (2, 5));

    for round in 0..ROUNDS {
        let [first, second] = ["first", "second"].map(|name| format!("{name}{round}"));
        gateway.save(&format!("{kept}{}", listener(&first, "127.0.0.1:0")));
        let address = gateway.address(&first).to_string();
        let mut open = gateway.connect(&first);
        assert_eq!(open.ask(GET).status, 200);

        // The same port under another name, and then the same again, as one does when editing.
        gateway.save(&format!("{kept}{}", listener(&second, &address)));
        open.expect_closed();
        assert_eq!(gateway.connect(&second).ask(GET).status, 200);

        let mut open = gateway.connect(&second);
        assert_eq!(open.ask(GET).status, 200);
        gateway.save(&kept);
        open.expect_closed();
        gateway.wait_until_refusing(&second);
    }

    assert!(wrk.stop() > 0 && h2load.stop() > 0);
}

#[test]
fn what_is_in_flight_on_a_removed_listener_is_finished() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let backend = Script::playing(move |conversation| {
        conversation.request();
        wait.lock().unwrap().recv().unwrap();
        conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
    });
    let kept = format!("{HTTPS}{}", route_to(&[&backend]));
    let gateway = Gateway::serving(&format!("{HTTP}{kept}"));
    let mut client = gateway.connect("http");
    client.send(GET);
    backend.received();

    gateway.save(&kept);
    gateway.event(NO_LONGER_LISTENING);
    gateway.wait_until_refusing("http");
    go.send(()).unwrap();

    let answer = client.answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "late"), "{answer:?}");
    assert_eq!(answer.field("connection"), Some("close"));
    client.expect_closed();
}

#[test]
fn both_families_are_two_addresses_of_one_listener() {
    let backend = Backend::named("one");
    let gateway = Gateway::serving(&format!(
        "{}{}",
        HTTP.replace("bind = ", "bind = [\"[::1]:0\", ").replace(":0\"\n", ":0\"]\n"),
        route_to(&[&backend])
    ));
    for client in ["127.0.0.1", "::1"] {
        let family = |address: &str| address.starts_with('[') == client.contains(':');
        let event = gateway.event_where(LISTENING, |event| family(event["address"].as_str().unwrap()));
        let address: SocketAddr = event["address"].as_str().unwrap().parse().unwrap();

        assert_eq!(Client::tcp(address).ask(GET).text(), "one");

        assert_eq!(backend.received().field("x-forwarded-for"), Some(client));
        gateway.access(|line| line["client"] == client);
    }
}

#[test]
fn an_address_may_grow_to_all_addresses_on_the_same_port() {
    let backend = Backend::named("one");
    let route = route_to(&[&backend]);
    let gateway = Gateway::serving(&format!("{}{route}", listener("http", "127.0.0.1:0")));
    let port = gateway.address("http").port();

    gateway.save(&format!("{}{route}", listener("all", &format!("0.0.0.0:{port}"))));

    let everywhere = gateway.address("all");
    assert_eq!(everywhere, SocketAddr::from(([0, 0, 0, 0], port)));
    // The kernel resets what comes to the more exact socket in the very moment in which that is closed.
    let mut answers = std::iter::repeat_with(|| gateway.connect("all").send(GET).next_answer(false));
    assert_eq!(answers.find_map(|answer| answer).unwrap().status, 200);
}

#[test]
fn an_address_and_all_addresses_may_have_listeners_of_their_own_on_one_port() {
    // Keeps the port until the gateway has it: bound, so that no one else gets it, and not listening.
    let kept = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    kept.set_reuse_address(true).unwrap();
    kept.set_reuse_port(true).unwrap();
    kept.bind(&SocketAddr::from(([0, 0, 0, 0], 0)).into()).unwrap();
    let port = kept.local_addr().unwrap().as_socket().unwrap().port();
    let [all, exact] = [format!("0.0.0.0:{port}"), format!("127.0.0.1:{port}")];
    let answering = |name: &str| {
        format!(
            "[[route]]\nname = \"{name}\"\nlistener = [\"{name}\"]\nrespond = {{ status = 200, body = \"{name}\" }}\n"
        )
    };
    let routes = format!("{}{}", answering("all"), answering("exact"));

    for (first, second) in [(("all", &all), ("exact", &exact)), (("exact", &exact), ("all", &all))] {
        let _gateway =
            Gateway::serving(&format!("{}{}{routes}", listener(first.0, first.1), listener(second.0, second.1)));
        let ask = |ip: [u8; 4]| Client::tcp(SocketAddr::from((ip, port))).ask(GET).text();
        assert_eq!([ask([127, 0, 0, 1]), ask([127, 0, 0, 2])], ["exact", "all"]);
    }
}

#[test]
fn a_port_that_another_program_has_refuses_the_whole_config_and_the_old_one_serves_on() {
    let (old, new) = (Backend::named("old"), Backend::named("new"));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let gateway = Gateway::serving(&format!("{HTTP}{}", route_to(&[&old])));
    let rejected = "portcullis_config_reloads_total{outcome=\"rejected\"} ";
    assert_eq!(gateway.metric(rejected), 0);

    let wanted = format!("{HTTP}{}{}", listener("extra", &address), route_to(&[&new]));
    gateway.home().replace("portcullis.toml", &wanted);
    let event = gateway.event(CONFIG_REFUSED);

    let problem = event["problem"].as_str().unwrap();
    assert!(problem.contains(&address) && problem.contains("portcullis.toml:"), "{problem}");
    assert_eq!(gateway.connect("http").ask(GET).text(), "old");
    assert_eq!(gateway.metric(rejected), 1);
    let mut status = portcullis();
    status.args(["status", "--admin", &gateway.admin().to_string(), "--token-file"]);
    let mut status = Process::start(status.arg(gateway.home().path("state/admin.token")));
    assert_eq!(status.wait().code(), Some(0), "{}", status.output());
    assert!(status.stdout.text().contains(&format!("{address} is taken")), "{}", status.output());

    // The file is as it should be: once the port is free, only a word is needed.
    drop(taken);
    let mut gateway = gateway;
    gateway.signal(Signal::HUP);
    gateway.event_where(SERVING, |event| event["generation"] == 2);
    assert_eq!(gateway.connect("extra").ask(GET).text(), "new");
}

#[test]
fn a_route_of_one_listener_stays_with_it_when_others_come_and_go() {
    let (all, ours) = (Backend::named("all"), Backend::named("ours"));
    let route = route_to(&[&all]);
    let narrow = format!("\n[[route]]\npath = \"/own\"\nlistener = [\"second\"]\npool = [\"{ours}\"]\n");
    let second = listener("second", "127.0.0.1:0");
    let gateway = Gateway::serving(&format!("{}{second}{narrow}{route}", listener("first", "127.0.0.1:0")));
    let own = "GET /own HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut open = gateway.connect("second");
    assert_eq!(open.ask(own).text(), "ours");

    // The first of the file is gone, then others stand before it; the client was silent meanwhile.
    gateway.save(&format!("{second}{narrow}{route}"));
    assert_eq!(open.ask(own).text(), "ours");
    let more = format!("{}{}", listener("new", "127.0.0.1:0"), listener("newer", "127.0.0.1:0"));
    gateway.save(&format!("{more}{second}{narrow}{route}"));

    let mut stranger = gateway.connect("new");
    assert_eq!(open.ask(own).text(), "ours");
    assert_ne!(stranger.ask(own).text(), "ours");
}
