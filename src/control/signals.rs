//! What operators send.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What the gateway listens to.
pub struct Signals {
    /// To reload and to reopen logs.
    pub hangup: Signal,
    /// To end.
    pub stop: Stop,
}

/// The signals that end the gateway.
pub struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens from now on: before that, each of them kills.
    ///
    /// # Errors
    /// Where the system does not let us.
    pub fn listen() -> io::Result<Self> {
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self { hangup: signal(SignalKind::hangup())?, stop: Stop { terminate, interrupt } })
    }
}

impl Stop {
    /// Waits for one. Cancel-safe.
    pub async fn told(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
