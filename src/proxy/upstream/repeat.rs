//! Which attempts that broke may be followed by another.

use super::backend::Broken;
use crate::proxy::balance::RetryOn;
use crate::proxy::fault::Fault;

/// The backend has certainly done nothing of the request, which it told over HTTP/2 by GOAWAY or a stream refused, or of which a
/// connection of HTTP/1.1 broke before it took a byte.
pub(super) fn is_declined(broken: &Broken) -> bool {
    broken.unseen && broken.fault == Fault::BackendReset
}

/// Whether another attempt may follow. One that took too long or was answered badly is no reason to ask twice: the backend got
/// the request, and the client would wait twice as long as its route allows.
pub(super) fn may_repeat(broken: &Broken, replayable: bool, on: &RetryOn) -> bool {
    match broken.fault {
        Fault::ConnectFailed | Fault::ConnectTimeout | Fault::BackendTls(_) => on.connect,
        Fault::BackendReset => broken.unseen || replayable,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROKEN: Broken = Broken { fault: Fault::BackendReset, unseen: false, stale: false };

    #[test]
    fn only_what_the_backend_has_not_seen_or_what_is_safe_is_sent_again() {
        let on = RetryOn::default();
        for (broken, replayable, expected) in [
            (BROKEN, false, false),
            (BROKEN, true, true),
            (Broken { stale: true, ..BROKEN }, false, false),
            (Broken { unseen: true, ..BROKEN }, false, true),
            (Broken { fault: Fault::ConnectFailed, ..BROKEN }, false, true),
            (Broken { fault: Fault::ConnectTimeout, ..BROKEN }, false, true),
            (Broken { fault: Fault::ResponseTimeout, ..BROKEN }, true, false),
            (Broken { fault: Fault::BackendMalformed, unseen: true, ..BROKEN }, true, false),
            (Broken { fault: Fault::TotalTimeout, unseen: true, ..BROKEN }, true, false),
        ] {
            assert_eq!(may_repeat(&broken, replayable, &on), expected, "{broken:?}, replayable: {replayable}");
        }
        let on = RetryOn { connect: false, ..on };
        assert!(!may_repeat(&Broken { fault: Fault::ConnectFailed, ..BROKEN }, true, &on));
        assert!(may_repeat(&BROKEN, true, &on));
    }
}
