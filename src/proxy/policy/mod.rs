//! What may refuse or change a request on its way: ACL, redirect, fixed response, rewrite, HSTS.

pub mod acl;
mod hsts;
mod redirect;
mod respond;
mod rewrite;

pub use hsts::Hsts;
pub use redirect::{Redirect, to_https};
pub use respond::Respond;
pub use rewrite::Rewrite;
