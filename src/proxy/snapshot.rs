//! The immutable, compiled config that one exchange runs under.
