//! The data plane. Folders in order of travel: listen, tls, http, route, policy, balance, upstream.

pub mod accept;
pub mod balance;
pub mod connection;
pub mod exchange;
pub mod explain;
pub mod fault;
pub mod http;
pub mod io;
pub mod listen;
pub mod message;
pub mod policy;
pub mod route;
pub mod serve;
pub mod serve_h2;
pub mod snapshot;
pub mod socket;
pub mod tls;
pub mod upstream;
pub mod work;
pub mod worker;
