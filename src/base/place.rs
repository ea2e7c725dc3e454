//! Where a setting stands: every value that another check may complain about carries its place.

use std::ops::Deref;

/// A stretch of one source file, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Hash)]
pub struct Place {
    /// Index into the list of files that were read.
    pub file: u16,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// A value and where it was written. Derefs to the value.
#[derive(Clone, Debug, Default)]
pub struct At<T> {
    /// The checked value.
    pub value: T,
    /// Where it stands in the config.
    pub place: Place,
}

impl<T> At<T> {
    /// A value that stands at `place`.
    pub fn new(value: T, place: Place) -> Self {
        Self { value, place }
    }
}

impl<T> Deref for At<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// Two values are the same setting wherever they stand: a moved line is no change.
impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}
