//! Why no endpoint was picked.

use std::time::Duration;

use crate::proxy::fault::Fault;

/// Why no endpoint was picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nobody {
    /// There is none that may be asked.
    NoBackend,
    /// The breakers of all of them are open; the first of them lets a request through after this time.
    BreakerOpen(Duration),
    /// Each has as many requests as it may have.
    Full,
}

impl Nobody {
    /// The reason for the client.
    pub fn fault(self) -> Fault {
        match self {
            Self::NoBackend => Fault::NoBackend,
            Self::BreakerOpen(_) => Fault::BreakerOpen,
            Self::Full => Fault::QueueFull,
        }
    }

    /// After what time it may be of use to ask again, where that is known.
    pub fn wait(self) -> Option<Duration> {
        match self {
            Self::NoBackend | Self::Full => None,
            Self::BreakerOpen(wait) => Some(wait),
        }
    }
}
