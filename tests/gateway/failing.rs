//! One backend of three fails, in every way that backends do: once that is known hardly anybody notices, and nothing is posted
//! twice.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::support::PATIENCE;
use crate::support::client::Client;
use crate::support::configs::HTTP;
use crate::support::events::BREAKER_OPENED;
use crate::support::gateway::Gateway;
use crate::support::script::{Conversation, Script};

/// Clients that ask at once, and how much each asks once the failure is known.
const CLIENTS: usize = 6;
const REQUESTS: usize = 1_000;

/// What was posted to the backends, all of them together.
type Ledger = Arc<Mutex<BTreeMap<String, usize>>>;

/// How a backend fails, by how many requests it had. False where it answers as it should.
type Failing = fn(&mut Conversation, usize) -> bool;

fn good(conversation: &mut Conversation) {
    conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
}

/// A backend that writes into the ledger what is posted, and fails in this way.
fn backend(ledger: &Ledger, failing: Option<Failing>) -> Script {
    let (ledger, count) = (Arc::clone(ledger), AtomicUsize::new(0));
    Script::playing(move |conversation| {
        while let Some(request) = conversation.request() {
            if request.line.starts_with("POST") {
                *ledger.lock().unwrap().entry(request.line).or_default() += 1;
            }
            let number = count.fetch_add(1, SeqCst);
            if !failing.is_some_and(|fail| fail(conversation, number)) {
                good(conversation);
            }
        }
    })
}

fn resets(conversation: &mut Conversation, _: usize) -> bool {
    conversation.reset();
    true
}

fn says_500(conversation: &mut Conversation, _: usize) -> bool {
    conversation.send("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 3\r\n\r\nbad");
    true
}

fn says_nothing(conversation: &mut Conversation, _: usize) -> bool {
    conversation.hold();
    true
}

fn breaks_off(conversation: &mut Conversation, _: usize) -> bool {
    conversation.send("HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\nok");
    conversation.reset();
    true
}

/// Answers, but late.
fn dawdles(conversation: &mut Conversation, _: usize) -> bool {
    let (_never, told) = mpsc::channel::<()>();
    let _ = told.recv_timeout(Duration::from_millis(150));
    good(conversation);
    true
}

/// Twenty requests well, then twenty badly, and so on.
fn flaps(conversation: &mut Conversation, number: usize) -> bool {
    number / 20 % 2 == 1 && says_500(conversation, number)
}

/// One client's requests, every third of them a post with a number of its own, until there are enough: how many, and how many
/// failed.
fn ask(gateway: SocketAddr, client: usize, enough: impl Fn(usize) -> bool) -> (usize, usize) {
    let (mut connection, mut failed, mut asked) = (Client::tcp(gateway), 0, 0);
    while !enough(asked) {
        let request = if asked % 3 == 0 {
            let id = NUMBER.fetch_add(1, SeqCst);
            format!("POST /{client}/{id} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\npaid")
        } else {
            "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned()
        };
        asked += 1;
        let answer = connection.send(request).next_answer(false);
        if answer.as_ref().is_none_or(|answer| answer.status != 200 || answer.body != b"ok") {
            failed += 1;
            // An answer that was cut took its connection with it.
            connection = Client::tcp(gateway);
        }
    }
    (asked, failed)
}

static NUMBER: AtomicUsize = AtomicUsize::new(0);

/// All clients at once, while something else is done.
fn all_ask(gateway: SocketAddr, enough: impl Fn(usize) -> bool + Sync, meanwhile: impl FnOnce()) -> (usize, usize) {
    std::thread::scope(|scope| {
        let enough = &enough;
        let threads: Vec<_> = (0..CLIENTS).map(|client| scope.spawn(move || ask(gateway, client, enough))).collect();
        meanwhile();
        let results = threads.into_iter().map(|thread| thread.join().unwrap());
        results.fold((0, 0), |(asked, failed), (more, worse)| (asked + more, failed + worse))
    })
}

/// A pool of three, one of which fails in this way, until its breaker has opened, and from then on, until it has opened so many
/// times.
fn one_of_three(failing: Failing, (open, times): (&str, usize)) {
    let ledger = Ledger::default();
    let backends = [backend(&ledger, Some(failing)), backend(&ledger, None), backend(&ledger, None)];
    let [bad, one, two] = &backends;
    let gateway = Gateway::serving(&format!(
        "{HTTP}[[route]]\npool = \"p\"\ntimeouts = {{ response = \"500ms\" }}\n\
         [pool.p]\nbreaker = {{ slow = \"100ms\", open = \"{open}\" }}\nbackends = [\"{bad}\", \"{one}\", \"{two}\"]\n"
    ));
    let (address, known) = (gateway.address("http"), AtomicBool::new(false));
    let opened = |times| {
        let end = Instant::now() + PATIENCE;
        while gateway.events(BREAKER_OPENED).len() < times {
            assert!(Instant::now() < end, "{}", gateway.output());
        }
        known.store(true, SeqCst);
    };
    all_ask(address, |_| known.load(SeqCst), || opened(1));

    known.store(false, SeqCst);
    let enough = |asked| asked >= REQUESTS && known.load(SeqCst);
    let (asked, failed) = all_ask(address, enough, || opened(times));

    println!("{failed} of {asked} failed");
    assert!(failed * 1_000 < asked, "{failed} of {asked} failed\n{}", gateway.output());
    let ledger = ledger.lock().unwrap();
    let twice: Vec<_> = ledger.iter().filter(|(_, times)| **times > 1).collect();
    assert!(ledger.len() > REQUESTS && twice.is_empty(), "of {} posts twice: {twice:?}", ledger.len());
}

#[test]
fn one_of_three_resets() {
    one_of_three(resets, ("30s", 1));
}

#[test]
fn one_of_three_says_500() {
    one_of_three(says_500, ("30s", 1));
}

#[test]
fn one_of_three_says_nothing_to_anybody_and_to_those_who_look_whether_it_is_back() {
    one_of_three(says_nothing, ("1s", 2));
}

#[test]
fn one_of_three_breaks_off() {
    one_of_three(breaks_off, ("30s", 1));
}

#[test]
fn one_of_three_is_slow() {
    one_of_three(dawdles, ("30s", 1));
}

#[test]
fn one_of_three_is_well_and_ill_by_turns() {
    one_of_three(flaps, ("30s", 1));
}
