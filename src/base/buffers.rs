//! A worker's pool of byte buffers: a connection holds one only while bytes are under way.

use std::cell::RefCell;

/// The capacity of a fresh buffer: a TLS record, and more than any usual head.
pub const BUFFER: usize = 16 << 10;

/// A buffer that has grown beyond this is freed instead of kept.
const LARGEST_KEPT: usize = 384 << 10;

/// How many buffers are kept at most.
const KEPT: usize = 64;

/// The pool.
#[derive(Default)]
pub struct Buffers {
    free: RefCell<Vec<Vec<u8>>>,
}

impl Buffers {
    /// An empty buffer with capacity.
    pub fn take(&self) -> Vec<u8> {
        self.free.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(BUFFER))
    }

    /// Takes the memory of `buffer` back and leaves it empty and without capacity.
    pub fn give(&self, buffer: &mut Vec<u8>) {
        let mut buffer = std::mem::take(buffer);
        let mut free = self.free.borrow_mut();
        if buffer.capacity() >= BUFFER && buffer.capacity() <= LARGEST_KEPT && free.len() < KEPT {
            buffer.clear();
            free.push(buffer);
        }
    }

    /// Makes sure that `buffer` has memory.
    pub fn lend(&self, buffer: &mut Vec<u8>) {
        if buffer.capacity() == 0 {
            *buffer = self.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_given_back_is_used_again_and_empty() {
        let pool = Buffers::default();
        let mut buffer = pool.take();
        buffer.extend_from_slice(b"secret");
        pool.give(&mut buffer);
        assert_eq!(buffer.capacity(), 0);
        assert!(pool.take().is_empty());
    }

    #[test]
    fn what_has_grown_too_large_is_freed() {
        let pool = Buffers::default();
        pool.give(&mut Vec::with_capacity(LARGEST_KEPT + 1));
        assert!(pool.free.borrow().is_empty());
    }
}
