//! Which endpoint of a pool gets the next request.

mod endpoint;
mod pool;
mod reach;
mod round_robin;
mod settings;
mod url;

pub use endpoint::{Active, Endpoint};
pub use pool::Pool;
pub use reach::Reach;
pub use settings::{Algorithm, BackendSettings, Protocol, RetrySettings, SendProxy, Settings};
pub use url::{BackendUrl, Target};
