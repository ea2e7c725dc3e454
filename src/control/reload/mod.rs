//! Reloading: notices that a watched file has changed.

mod contents;
mod debounce;
mod digest;
mod folders;
mod inbox;
mod interest;
mod read;
#[cfg(test)]
mod tests;
mod watch;

pub use read::{Read, hash};
pub use watch::{Changed, Timing, Watch, WatchError};
