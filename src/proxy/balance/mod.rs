//! Which endpoint of a pool gets the next request.

mod settings;

pub use settings::{Algorithm, BackendSettings, BackendUrl, RetrySettings, Settings};
