//! What may refuse or change a request on its way: ACL, rate limits, authentication, redirect, fixed response, rewrite, splits, mirrors, header
//! fields, CORS, HSTS.

pub mod acl;
pub mod auth;
mod cors;
pub mod headers;
mod hsts;
mod mirror;
mod policies;
pub mod rate_limit;
mod redirect;
mod respond;
mod rewrite;
mod security;
mod settings;
mod split;

pub use hsts::Hsts;
pub use mirror::Mirror;
pub use policies::Policies;
pub use redirect::{Redirect, to_https};
pub use respond::Respond;
pub use rewrite::Rewrite;
pub use settings::Settings;
pub use split::{Choice, Split, SplitBy, set_cookie};
