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
                Some(Command::Listen { listener, address, socket }) => acceptors.open(&worker, &listener, address, socket),
                Some(Command::Close { listener, address, drain }) => {
                    acceptors.close(&listener, address);
                    if drain {
                        worker.close_port(&listener);
                    }
                }
                Some(Command::Adopt { listener, then, socket, peer }) => {
                    let port = worker.port(&listener);
                    port.remember(then);
                    accept::adopt(&worker, &port, socket, peer);
                }
                Some(Command::Drain(limit)) => break limit,
                None => break Drain::default(),
            }
        }
    };
    acceptors.close_all();
    worker.begin_drain();
    finish(&worker, ticker, limit).await;
    worker.upstream.close_all();
    worker.access.flush();
}

fn tick(worker: &Worker, ticks: u32) {
    worker.alarms.tick();
    worker.access.flush();
    if ticks.is_multiple_of(TICKS_PER_SWEEP) {
        worker.upstream.sweep();
    }
}

/// Waits for the connections to end, up to `limit`.
async fn finish(worker: &Worker, mut ticker: tokio::time::Interval, limit: Drain) {
    let begun = Instant::now();
    loop {
        tokio::select! {
            () = worker.tasks.none_left() => return,
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
