//! What may refuse or change a request on its way: rate limits, redirect, fixed response, rewrite, HSTS.

mod hsts;
pub mod rate_limit;
mod redirect;
mod respond;
mod rewrite;

pub use hsts::Hsts;
pub use redirect::{Redirect, to_https};
pub use respond::Respond;
pub use rewrite::Rewrite;
