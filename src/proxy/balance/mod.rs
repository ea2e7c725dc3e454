//! Which endpoint of a pool gets the next request.

mod endpoint;
mod pool;
mod reach;
mod resolution;
mod round_robin;
mod settings;
mod url;

pub use endpoint::{Active, Address, Endpoint};
pub use pool::{Backend, Pool};
pub use reach::Reach;
pub use resolution::{Found, Kind, Question, Resolution, Resolve};
pub use settings::{Algorithm, BackendSettings, Protocol, RetrySettings, SendProxy, Settings};
pub use url::{BackendUrl, Target};
