//! Which slot was asked for when: a list through the slots of a shard.

/// The order, the slot that was not asked for longest first. Slots are numbers that are used again.
#[derive(Debug)]
pub(super) struct Order {
    /// The neighbours of slot `n` stand at `n + 1`; those of the ends at 0, which closes the ring.
    links: Vec<Link>,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    older: usize,
    newer: usize,
}

const ENDS: usize = 0;

impl Default for Order {
    fn default() -> Self {
        Self { links: vec![Link { older: ENDS, newer: ENDS }] }
    }
}

impl Order {
    /// The slot that was not asked for longest.
    pub(super) fn oldest(&self) -> Option<usize> {
        self.links[ENDS].newer.checked_sub(1)
    }

    /// Adds a slot that is not in the list, as one asked for now. A new number is the next one.
    pub(super) fn add(&mut self, slot: usize) {
        let at = slot + 1;
        if at >= self.links.len() {
            self.links.resize(at + 1, Link { older: at, newer: at });
        }
        let last = self.links[ENDS].older;
        self.links[at] = Link { older: last, newer: ENDS };
        self.links[last].newer = at;
        self.links[ENDS].older = at;
    }

    /// Takes a slot out of the list.
    pub(super) fn remove(&mut self, slot: usize) {
        let Link { older, newer } = self.links[slot + 1];
        self.links[older].newer = newer;
        self.links[newer].older = older;
    }

    /// A slot of the list is asked for.
    pub(super) fn renew(&mut self, slot: usize) {
        if self.links[ENDS].older != slot + 1 {
            self.remove(slot);
            self.add(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(mut order: Order) -> Vec<usize> {
        let mut slots = Vec::new();
        while let Some(slot) = order.oldest() {
            order.remove(slot);
            slots.push(slot);
        }
        slots
    }

    #[test]
    fn the_oldest_comes_first_and_what_is_asked_for_is_new() {
        let mut order = Order::default();
        assert_eq!(order.oldest(), None);
        (0..4).for_each(|slot| order.add(slot));
        order.renew(0);
        order.renew(0);
        order.remove(2);
        order.renew(1);
        order.add(2);
        assert_eq!(drained(order), [3, 0, 1, 2]);
    }
}
