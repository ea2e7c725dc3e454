//! From a config file to a running process and back: starts the workers, listens to signals and changes, drains.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::base::log::Log;
use crate::base::metrics::Registry;
use crate::control::accept::{Accepted, Source, Watched, accept};
use crate::control::admin;
use crate::control::config::{self, AdminListen, Workers};
use crate::control::gateway::Gateway;
use crate::control::inventory::Inventory;
use crate::control::reload::{Changed, Timing, Watch};
use crate::control::resolve::Names;
use crate::control::signals::Signals;
use crate::control::state::State;
use crate::proxy::balance::Resolution;
use crate::proxy::explain::Question;
use crate::proxy::work;
use crate::proxy::worker::{Command, Drain, Load, Place, Shared};

/// The exit code for a config that was refused; clap uses the same for a wrong command line.
pub(super) const BAD_CONFIG: u8 = 2;

/// How long after the drain the logs may take to be written.
const LOG_FLUSH: Duration = Duration::from_secs(5);

/// What to do where the system has no thread or descriptor left.
const LIMITS: &str = "raise the limits of threads and open files (`ulimit -u`, `ulimit -n`)";

/// Runs the gateway on `source` until a signal stops it. `serving` is called once, when every listener accepts.
/// Exit code 0 after a drain, 1 where a port or a permission is missing, 2 for a bad config.
pub fn run(source: &Source, serving: impl FnOnce()) -> ExitCode {
    let registry = Registry::new();
    let source = &Source { serves: true, ..source.clone() };
    let (accepted, warnings) = match accept(source, &registry, &Resolution::default(), None) {
        Ok(accepted) => accepted,
        Err(refused) => {
            eprint!("{}", refused.marked);
            return ExitCode::from(BAD_CONFIG);
        }
    };
    let log = match Log::start(accepted.config.log.clone(), registry.dropped_lines()) {
        Ok(log) => log,
        Err(error) => return fail(&format!("cannot start the log: {error}; {LIMITS}")),
    };
    log.install();
    for warning in &warnings {
        tracing::warn!(problem = %config::line(warning, &accepted.sources), "config accepted with a warning");
    }
    let code = match serve(source, accepted, registry, &log, serving) {
        Ok(()) => ExitCode::SUCCESS,
        Err(stopped) => {
            eprint!("{stopped}");
            ExitCode::FAILURE
        }
    };
    log.close(LOG_FLUSH);
    code
}

/// Loads and builds `source`, reports every problem and drops it. Exit code 0 or 2.
pub fn check(source: &Source) -> ExitCode {
    match accept(source, &Registry::new(), &Resolution::default(), None) {
        Ok((accepted, warnings)) => {
            for warning in &warnings {
                eprintln!("{}", config::marked(warning, &accepted.sources));
            }
            println!("{}: good", source.file.display());
            ExitCode::SUCCESS
        }
        Err(refused) => {
            eprint!("{}", refused.marked);
            ExitCode::from(BAD_CONFIG)
        }
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("portcullis: {message}");
    ExitCode::FAILURE
}

/// Serves until told to stop. An error is what the operator is to read.
fn serve(
    source: &Source,
    accepted: Accepted,
    registry: Registry,
    log: &Log,
    serving: impl FnOnce(),
) -> Result<(), String> {
    raise_file_limit();
    let server = accepted.config.server.clone();
    let _state = State::hold(&server.state_dir).map_err(|error| line(&error))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| line(&format!("cannot start the control runtime: {error}; {LIMITS}")))?;
    let (places, mailboxes) = places(worker_count(server.workers));
    let shared = Arc::new(Shared {
        live: Gateway::live(&accepted),
        registry,
        log: log.clone(),
        draining: AtomicBool::new(false),
        places,
    });
    let mut gateway = Gateway::new(source, accepted, Arc::clone(&shared));
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        // Before anything that others can see: whoever sees it may send a signal, and unheard it would kill without a drain.
        let signals =
            Signals::listen().map_err(|error| line(&format!("cannot listen to signals: {error}; {LIMITS}")))?;
        let admin = admin_server(&gateway).await?;
        let ended = start(&shared, mailboxes)
            .map_err(|error| line(&format!("cannot start a worker: {error}; {LIMITS}, or set server.workers lower")))?;
        let names = resolve(&mut gateway).await;
        gateway.open().map_err(|refused| refused.marked)?;
        gateway.inventory().set_ready(true);
        serving();
        let (told, stop) = oneshot::channel();
        let living = live(&mut gateway, names, (signals, ended), told);
        match admin {
            // Serves on while the workers drain, so that probes see that this gateway is not ready.
            Some(admin) => tokio::join!(living, admin.serve(async { drop(stop.await) })).0,
            None => living.await,
        }
    })
}

fn line(message: &impl std::fmt::Display) -> String {
    format!("portcullis: {message}\n")
}

/// The admin listener, unless it is off.
async fn admin_server(gateway: &Gateway) -> Result<Option<admin::Server>, String> {
    let settings = &gateway.config().admin;
    let AdminListen::Tcp(address) = &settings.listen else { return Ok(None) };
    let token = admin::Token::load_or_create(&settings.token_file).map_err(|error| line(&error))?;
    let (inventory, shared) = (gateway.inventory().clone(), Arc::clone(&gateway.shared));
    let (ready, weighing, probed) = (inventory.clone(), Arc::clone(&shared), Arc::clone(&shared));
    let breaking = Arc::clone(&shared);
    let (explaining, explained) = (inventory.clone(), Arc::clone(&shared));
    let sources = admin::Sources {
        registry: gateway.shared.registry.clone(),
        is_ready: Arc::new(move || ready.is_ready()),
        weights: Arc::new(move || Inventory::weights(&weighing)),
        up: Arc::new(move || Inventory::up(&probed)),
        breakers: Arc::new(move || Inventory::breakers(&breaking)),
        status: Arc::new(move || inventory.status(&shared)),
        explain: Arc::new(move |question: &Question| explaining.explain(&explained, question)),
    };
    let server = admin::Server::bind(address.value, token, sources).await;
    server.map(Some).map_err(|error| line(&error))
}

/// Looks up the names of backends before anything listens, as far as that is quickly done: one that does not resolve is no
/// reason not to start.
async fn resolve(gateway: &mut Gateway) -> Names {
    let mut names = Names::default();
    names.follow(gateway.config());
    names.settle().await;
    gateway.take_addresses(&mut names);
    names
}

/// Serves until told to stop, then drains. `_told` ends the admin listener when it is dropped.
async fn live(
    gateway: &mut Gateway,
    names: Names,
    (signals, mut ended): (Signals, Ended),
    _told: oneshot::Sender<()>,
) -> Result<(), String> {
    let stopped = supervise(gateway, names, signals).await;
    let server = &gateway.config().server;
    let drain = Drain { requests: server.drain.0, tunnels: server.tunnel_drain.0 };
    gateway.shared.draining.store(true, Ordering::Relaxed);
    gateway.inventory().set_ready(false);
    tracing::info!(drain_seconds = drain.requests.as_secs(), "draining");
    gateway.close();
    for place in &gateway.shared.places {
        let _ = place.mailbox.send(Command::Drain(drain));
    }
    // Nothing is ever sent: the channel closes when the last worker has ended.
    while ended.recv().await.is_some() {}
    tracing::info!("stopped");
    stopped.map_err(|error| line(&format!("cannot watch the config: {error}")))
}

/// Reloads when told to, and follows the addresses of names; returns when told to stop.
async fn supervise(gateway: &mut Gateway, mut names: Names, signals: Signals) -> io::Result<()> {
    let Signals { mut hangup, mut stop } = signals;
    let (watch, mut changes) = watch();
    let mut stale = true;
    loop {
        let reload = tokio::select! {
            () = take_up(watch.as_ref(), gateway), if stale => {
                stale = false;
                false
            }
            changed = next_change(changes.as_mut()) => {
                if !changed {
                    tracing::error!("files are no longer watched; send SIGHUP after a change, and restart the gateway");
                    changes = None;
                }
                changed
            }
            () = names.changed() => {
                gateway.take_addresses(&mut names);
                false
            }
            () = stop.told() => return Ok(()),
            _ = hangup.recv() => {
                gateway.log().reopen();
                names.ask_all();
                true
            }
        };
        if reload {
            // Names that are new may take a while: a gateway that is to stop does not wait for them.
            tokio::select! {
                () = gateway.reload(&mut names) => stale = true,
                () = stop.told() => return Ok(()),
            }
        }
    }
}

/// Begins to watch files. A gateway that cannot serves without: SIGHUP does the same.
fn watch() -> (Option<Watch>, Option<mpsc::Receiver<Changed>>) {
    let watching = Watch::start(Timing::default());
    let told =
        watching.inspect_err(|error| tracing::error!(%error, "files are not watched; send SIGHUP after a change"));
    told.ok().unzip()
}

/// Watches what is live now. A folder that hangs holds up nothing else: this is one branch among the signals.
async fn take_up(watch: Option<&Watch>, gateway: &Gateway) {
    if let Some(watch) = watch {
        let Watched { files, patterns, read } = gateway.watched();
        watch.set(files, patterns, read).await;
    }
}

/// Waits for a change; false once there will be none. Without a watch it waits for ever.
async fn next_change(changes: Option<&mut mpsc::Receiver<Changed>>) -> bool {
    match changes {
        Some(changes) => changes.recv().await.is_some(),
        None => std::future::pending().await,
    }
}

fn worker_count(workers: Workers) -> usize {
    match workers {
        Workers::Auto => std::thread::available_parallelism().map_or(1, usize::from),
        Workers::Count(count) => usize::from(count).max(1),
    }
}

type Mailbox = mpsc::UnboundedReceiver<Command>;

fn places(count: usize) -> (Vec<Place>, Vec<Mailbox>) {
    std::iter::repeat_with(|| {
        let (mailbox, letters) = mpsc::unbounded_channel();
        (Place { load: Load::default(), mailbox }, letters)
    })
    .take(count)
    .unzip()
}

/// Closes when every worker has ended.
type Ended = mpsc::Receiver<()>;

fn start(shared: &Arc<Shared>, mailboxes: Vec<Mailbox>) -> io::Result<Ended> {
    let (running, ended) = mpsc::channel(1);
    for (index, mailbox) in mailboxes.into_iter().enumerate() {
        let (shared, running) = (Arc::clone(shared), running.clone());
        let work = move || {
            if let Err(error) = work::run(index, shared, mailbox) {
                tracing::error!(worker = index, %error, "a worker cannot run; restart the gateway");
            }
            drop(running);
        };
        std::thread::Builder::new().name(format!("worker-{index}")).spawn(work)?;
    }
    Ok(ended)
}

/// Each connection is a descriptor or two: the soft limit is raised to the hard one, as every server does.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, "cannot raise the limit of open files; connections are bounded by it");
    }
}
