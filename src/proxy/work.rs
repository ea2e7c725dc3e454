//! A worker's loop: its clock, its commands, its end.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::MissedTickBehavior;

use crate::base::alarm::TICK;
use crate::proxy::accept::{self, Acceptors};
use crate::proxy::worker::{Command, Drain, Shared, Worker};

/// How many ticks lie between two looks at the unused upstream connections.
const TICKS_PER_SWEEP: u32 = 10;

/// Runs worker `index` on this thread until it is told to drain.
///
/// # Errors
/// Where the system gives no runtime.
pub fn run(index: usize, shared: Arc<Shared>, mailbox: UnboundedReceiver<Command>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, work(Worker::new(index, shared), mailbox));
    Ok(())
}

async fn work(worker: Rc<Worker>, mut mailbox: UnboundedReceiver<Command>) {
    let mut acceptors = Acceptors::default();
    let mut ticker = tokio::time::interval(TICK);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ticks: u32 = 0;
    let limit = loop {
        tokio::select! {
            _ = ticker.tick() => {
                ticks = ticks.wrapping_add(1);
                tick(&worker, ticks);
            }
            command = mailbox.recv() => match command {
                Some(command) => if let Some(limit) = obey(&worker, &mut acceptors, command) { break limit },
                None => break Drain::default(),
            }
        }
    };
    acceptors.close_all();
    worker.begin_drain();
    finish(&worker, (acceptors, mailbox), ticker, limit).await;
    worker.upstream.close_all();
    worker.access.flush();
}

/// Does what the worker is told, but for the drain, which is returned.
fn obey(worker: &Rc<Worker>, acceptors: &mut Acceptors, command: Command) -> Option<Drain> {
    match command {
        Command::Listen { listener, address, socket } => acceptors.open(worker, &listener, address, socket),
        Command::Close { listener, address, drain } => {
            acceptors.close(&listener, address);
            if drain {
                worker.close_port(&listener);
            }
        }
        Command::Adopt { listener, then, socket, peer } => {
            let port = worker.port(&listener);
            port.remember(then);
            accept::adopt(worker, &port, socket, peer);
        }
        Command::Drain(limit) => return Some(limit),
    }
    None
}

fn tick(worker: &Worker, ticks: u32) {
    worker.alarms.tick();
    worker.access.flush();
    if ticks.is_multiple_of(TICKS_PER_SWEEP) {
        worker.upstream.sweep();
    }
}

/// Waits for the connections to end, up to `limit`. Until the last one has, another worker that is told of the drain later may
/// still hand over what it accepted; after that it is refused, and serves its connections itself.
async fn finish(
    worker: &Rc<Worker>,
    (mut acceptors, mut mailbox): (Acceptors, UnboundedReceiver<Command>),
    mut ticker: tokio::time::Interval,
    limit: Drain,
) {
    let begun = Instant::now();
    let mut told_all = false;
    loop {
        tokio::select! {
            biased;
            command = mailbox.recv(), if !told_all => match command {
                Some(command) => {
                    let _drains_already = obey(worker, &mut acceptors, command);
                    // What the kernel has accepted for a socket that came late is served, and no more.
                    acceptors.close_all();
                }
                None => told_all = true,
            },
            () = worker.tasks.none_left() => {
                if told_all {
                    return;
                }
                mailbox.close();
            }
            _ = ticker.tick() => tick(worker, 1),
        }
        let allowed = if worker.tunnels.get() > 0 { limit.requests.max(limit.tunnels) } else { limit.requests };
        // A tunnel ends by itself when its time is over, and is given a moment for it.
        if begun.elapsed() >= allowed + 2 * TICK {
            return tracing::warn!(
                worker = worker.index,
                connections = worker.tasks.count(),
                "cut what was left after the drain"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    use super::*;
    use crate::base::log::{Log, Settings};
    use crate::base::metrics::Registry;
    use crate::proxy::http::h1::head::HeadLimits;
    use crate::proxy::listen::Timeouts;
    use crate::proxy::policy::Hsts;
    use crate::proxy::route;
    use crate::proxy::snapshot::{Acl, Listener, Live, Snapshot};
    use crate::proxy::socket::Detached;
    use crate::proxy::worker::{Load, Place};

    fn listener(registry: &Registry) -> Listener {
        Listener {
            name: "http".to_owned(),
            label: registry.label("http"),
            bind: Vec::new(),
            proxy_protocol: false,
            tls: None,
            max_connections: 9,
            max_connections_per_ip: 9,
            gauge: Arc::default(),
            status_path: vec!["/status".to_owned()],
            redirect_https: None,
            timeouts: Timeouts::default(),
            limits: HeadLimits { uri: 100, fields_size: 100, fields: 9 },
            h2_streams: 9,
        }
    }

    fn shared(registry: Registry) -> (Arc<Shared>, UnboundedReceiver<Command>) {
        let snapshot = Snapshot {
            generation: 1,
            config_generation: 1,
            listeners: Vec::new(),
            routes: route::Table::build([]),
            pools: Vec::new(),
            rate_limits: Arc::default(),
            acl: Arc::new(Acl::default()),
            hsts: Arc::new(Hsts::default()),
            identity: Arc::default(),
            trusted_proxies: Vec::new(),
            tunnel_drain: Duration::ZERO,
        };
        let (mailbox, commands) = tokio::sync::mpsc::unbounded_channel();
        let shared = Shared {
            live: Live::new(Arc::new(snapshot)),
            log: Log::start(Settings::default(), registry.dropped_lines()).unwrap(),
            registry,
            draining: AtomicBool::new(true),
            places: vec![Place { load: Load::default(), mailbox }],
        };
        (Arc::new(shared), commands)
    }

    #[test]
    fn what_is_handed_over_after_the_drain_began_is_served() {
        let registry = Registry::new();
        let then = Some(Arc::new(listener(&registry)));
        let (shared, commands) = shared(registry);
        let accepting = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(accepting.local_addr().unwrap()).unwrap();
        client.write_all(b"GET /status HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let (socket, peer) = accepting.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let place = &shared.places[0];
        let limit = Drain { requests: Duration::from_secs(20), tunnels: Duration::ZERO };
        assert!(place.mailbox.send(Command::Drain(limit)).is_ok());
        place.load.add();
        let adopt = Command::Adopt { listener: "http".into(), then, socket: Detached::Tcp(socket), peer };
        assert!(place.mailbox.send(adopt).is_ok());

        run(0, Arc::clone(&shared), commands).unwrap();

        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
        assert_eq!(place.load.current(), 0);
    }
}
