//! How many connections a listener and a client may have open, over all workers.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The open connections of one listener. Outlives reloads.
#[derive(Debug, Default)]
pub struct Gauge {
    open: AtomicU32,
    peers: Mutex<HashMap<IpAddr, u32>>,
}

/// Why a connection was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The listener has as many as it may.
    Listener,
    /// This client has.
    Peer,
}

impl Gauge {
    /// Connections open now.
    pub fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    /// Admits one more connection until the permit is dropped. `most` is for the listener, `most_per_peer` for one client.
    ///
    /// # Errors
    /// Which of both is reached.
    pub fn admit(self: &Arc<Self>, peer: IpAddr, most: u32, most_per_peer: u32) -> Result<Permit, Full> {
        let peer = network_of(peer);
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if self.open() >= most {
            return Err(Full::Listener);
        }
        let count = peers.entry(peer).or_insert(0);
        if *count >= most_per_peer {
            return Err(Full::Peer);
        }
        *count += 1;
        self.open.fetch_add(1, Ordering::Relaxed);
        Ok(Permit { gauge: Arc::clone(self), peer })
    }
}

/// One open connection.
#[derive(Debug)]
pub struct Permit {
    gauge: Arc<Gauge>,
    peer: IpAddr,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut peers = self.gauge.peers.lock().unwrap_or_else(PoisonError::into_inner);
        self.gauge.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(count) = peers.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                peers.remove(&self.peer);
            }
        }
    }
}

/// What counts as one client: an IPv4 address, or the /64 that an IPv6 client can choose its addresses from.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_limits_hold_and_are_given_back() {
        let gauge = Arc::new(Gauge::default());
        let (a, b): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let first = gauge.admit(a, 2, 1).unwrap();
        assert_eq!(gauge.admit(a, 2, 1).err(), Some(Full::Peer));
        let _second = gauge.admit(b, 2, 1).unwrap();
        assert_eq!(gauge.admit("10.0.0.3".parse().unwrap(), 2, 1).err(), Some(Full::Listener));
        drop(first);
        assert!(gauge.admit(a, 2, 1).is_ok());
        assert_eq!((gauge.open(), gauge.peers.lock().unwrap().len()), (1, 1));
    }

    #[test]
    fn the_addresses_of_a_64_are_one_client() {
        let network = network_of("2001:db8::1".parse().unwrap());
        assert_eq!(network, network_of("2001:db8::ffff:1".parse().unwrap()));
        assert_ne!(network, network_of("2001:db8:0:1::1".parse().unwrap()));
        assert_eq!(network_of("::ffff:10.0.0.1".parse().unwrap()), network_of("10.0.0.1".parse().unwrap()));
    }
}
