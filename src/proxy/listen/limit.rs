//! How many connections a listener and a client may have open, over all workers.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::base::cidr::network_of;

/// The open connections of one listener. Outlives reloads.
#[derive(Debug, Default)]
pub struct Gauge {
    open: AtomicU32,
    peers: Mutex<HashMap<IpAddr, u32>>,
}

impl Gauge {
    /// Connections open now.
    pub fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    /// Connections of `peer` open now.
    pub fn of(&self, peer: IpAddr) -> u32 {
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.get(&network_of(peer)).copied().unwrap_or(0)
    }

    /// Admits one more connection, until the permit is dropped, where the listener has fewer than `most`.
    pub fn admit(self: &Arc<Self>, most: u32) -> Option<Permit> {
        let fewer = |open| (open < most).then_some(open + 1);
        self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer).ok()?;
        Some(Permit { gauge: Arc::clone(self), peer: None })
    }
}

/// One open connection.
#[derive(Debug)]
pub struct Permit {
    gauge: Arc<Gauge>,
    peer: Option<IpAddr>,
}

impl Permit {
    /// Counts the connection as one of `peer`'s as well, where that has fewer than `most`; whether it has.
    pub fn count(&mut self, peer: IpAddr, most: u32) -> bool {
        let peer = network_of(peer);
        let mut peers = self.gauge.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let count = peers.entry(peer).or_insert(0);
        if *count >= most {
            return false;
        }
        *count += 1;
        self.peer = Some(peer);
        true
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gauge.open.fetch_sub(1, Ordering::Relaxed);
        let Some(peer) = self.peer else { return };
        let mut peers = self.gauge.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = peers.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                peers.remove(&peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_limits_hold_and_are_given_back() {
        let gauge = Arc::new(Gauge::default());
        let (a, b): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let mut first = gauge.admit(2).unwrap();
        assert!(first.count(a, 1));
        let mut second = gauge.admit(2).unwrap();
        assert!(!second.count(a, 1) && second.count(b, 1));
        assert!(gauge.admit(2).is_none());
        drop(first);
        assert!(gauge.admit(2).unwrap().count(a, 1));
        assert_eq!((gauge.open(), gauge.peers.lock().unwrap().len()), (1, 1));
    }
}
