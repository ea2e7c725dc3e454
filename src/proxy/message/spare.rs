//! What an exchange needs and the next one can use again, kept by the worker: an idle connection keeps nothing of it.

use std::cell::RefCell;
use std::rc::Rc;

use super::{Request, Response};
use crate::base::alarm::{Alarm, Alarms};

/// How many sets are kept.
const KEPT: usize = 256;

/// How much memory of a message is kept: bytes, and fields.
const KEPT_HEAD: (usize, usize) = (4 << 10, 64);

/// The two messages of an exchange and its alarm.
pub struct Set {
    /// Empty when taken.
    pub request: Request,
    /// Empty when taken.
    pub response: Response,
    /// Due never, or at what an earlier exchange set it to.
    pub alarm: Alarm,
}

/// Sets that no exchange uses.
#[derive(Default)]
pub struct Spare(RefCell<Vec<Set>>);

impl Spare {
    /// A set; a new one where none is left.
    pub fn take(&self, alarms: &Rc<Alarms>) -> Set {
        let fresh = || Set { request: Request::default(), response: Response::default(), alarm: alarms.alarm() };
        self.0.borrow_mut().pop().unwrap_or_else(fresh)
    }

    /// Takes a set back.
    pub fn give(&self, mut set: Set) {
        let mut kept = self.0.borrow_mut();
        if kept.len() < KEPT {
            set.request.clear();
            set.response.clear();
            set.request.fields.shrink(KEPT_HEAD.0, KEPT_HEAD.1);
            set.response.fields.shrink(KEPT_HEAD.0, KEPT_HEAD.1);
            kept.push(set);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_given_back_is_empty() {
        let (spare, alarms) = (Spare::default(), Alarms::start());
        let mut set = spare.take(&alarms);
        set.request.fields.add(b"cookie", b"secret");
        set.response.status = 200;
        spare.give(set);
        let set = spare.take(&alarms);
        assert!(set.request.fields.is_empty() && set.response.status == 0);
    }
}
