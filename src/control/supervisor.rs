//! From a config file to a running process and back: starts the workers, listens to signals and changes, drains.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::base::log::Log;
use crate::base::metrics::Registry;
use crate::control::cli::BAD_CONFIG;
use crate::control::config::{self, Workers};
use crate::control::gateway::{self, Accepted, Gateway};
use crate::proxy::worker::{self, Command, Load, Place, Shared};

/// How long after the drain the logs may take to be written.
const LOG_FLUSH: Duration = Duration::from_secs(5);

/// Runs the gateway on a config file until a signal stops it. `serving` is called once, when every listener accepts.
/// Exit code 0 after a drain, 1 where a port or a permission is missing, 2 for a bad config.
pub fn run(file: &Path, serving: impl FnOnce()) -> ExitCode {
    let registry = Registry::new();
    let (accepted, warnings) = match gateway::accept(file, &registry, None) {
        Ok(accepted) => accepted,
        Err(refused) => {
            eprint!("{}", refused.marked);
            return ExitCode::from(BAD_CONFIG);
        }
    };
    let log = match Log::start(accepted.config.log.clone(), registry.dropped_lines()) {
        Ok(log) => log,
        Err(error) => return fail(&format!("cannot start the log: {error}")),
    };
    log.install();
    for warning in &warnings {
        tracing::warn!(problem = %config::line(warning, &accepted.sources), "config accepted with a warning");
    }
    let code = match serve(file, accepted, registry, &log, serving) {
        Ok(()) => ExitCode::SUCCESS,
        Err(stopped) => {
            eprint!("{stopped}");
            ExitCode::FAILURE
        }
    };
    log.close(LOG_FLUSH);
    code
}

/// Loads and builds a config file, reports every problem and drops it. Exit code 0 or 2.
pub fn check(file: &Path) -> ExitCode {
    match gateway::accept(file, &Registry::new(), None) {
        Ok((accepted, warnings)) => {
            for warning in &warnings {
                eprintln!("{}", config::marked(warning, &accepted.sources, false));
            }
            println!("{}: good", file.display());
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
fn serve(file: &Path, accepted: Accepted, registry: Registry, log: &Log, serving: impl FnOnce()) -> Result<(), String> {
    raise_file_limit();
    let failed = |what: &str, error: io::Error| format!("portcullis: cannot {what}: {error}\n");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failed("start the control runtime", error))?;
    let drain = accepted.config.server.drain.0;
    let (places, mailboxes) = places(worker_count(accepted.config.server.workers));
    let shared = Arc::new(Shared { live: Gateway::live(&accepted), registry, log: log.clone(), places });
    let workers = start(&shared, mailboxes).map_err(|error| failed("start a worker", error))?;
    let mut gateway = Gateway::new(file, accepted, Arc::clone(&shared));
    gateway.open().map_err(|refused| refused.marked)?;
    serving();
    let ended = runtime.block_on(supervise(&mut gateway));
    tracing::info!(drain_seconds = drain.as_secs(), "draining");
    for place in &shared.places {
        let _ = place.mailbox.send(Command::Drain(drain));
    }
    for worker in workers {
        if worker.join().is_err() {
            tracing::error!("a worker ended with a panic; this is a bug");
        }
    }
    tracing::info!("stopped");
    ended.map_err(|error| failed("listen to signals", error))
}

/// Reloads when told to; returns when told to stop.
async fn supervise(gateway: &mut Gateway) -> io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => {
                gateway.log().reopen();
                gateway.reload();
            }
        }
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

fn start(shared: &Arc<Shared>, mailboxes: Vec<Mailbox>) -> io::Result<Vec<JoinHandle<io::Result<()>>>> {
    let workers = mailboxes.into_iter().enumerate().map(|(index, mailbox)| {
        let shared = Arc::clone(shared);
        let name = format!("worker-{index}");
        std::thread::Builder::new().name(name).spawn(move || worker::run(index, shared, mailbox))
    });
    workers.collect()
}

/// Each connection is a descriptor or two: the soft limit is raised to the hard one, as every server does.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, "cannot raise the limit of open files; connections are bounded by it");
    }
}
