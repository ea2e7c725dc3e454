//! Drawing at random by weight, in one step whatever the number (the alias method).

use super::asking::{Members, Pick};

/// How often is drawn before whoever is next is taken.
const MOST_DRAWS: u32 = 32;

/// What is drawn from: a slot for each index, which all are as likely. A slot is shared by its own index and another.
#[derive(Debug)]
pub(super) struct Draw(Box<[Slot]>);

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// The part of the slot that is its own index's, in 2^32nds.
    own: u32,
    /// Whose the rest is.
    other: u32,
}

impl Draw {
    /// Over indexes of these weights. One of weight 0 is never drawn.
    pub(super) fn new(weights: &[u32]) -> Self {
        let count = weights.len() as u64;
        let whole: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        if whole == 0 {
            return Self(Box::default());
        }
        // What each index has to give away: slots hold `whole`, so that all weights together fill all slots.
        let mut left: Vec<u64> = weights.iter().map(|weight| u64::from(*weight) * count).collect();
        let mut slots: Vec<Slot> = (0..count).map(|index| Slot { own: u32::MAX, other: index as u32 }).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..left.len()).partition(|index| left[*index] < whole);
        while let (Some(short), Some(&long)) = (small.pop(), large.last()) {
            let own = (u128::from(left[short]) << 32) / u128::from(whole);
            slots[short] = Slot { own: own as u32, other: long as u32 };
            left[long] -= whole - left[short];
            if left[long] < whole {
                large.pop();
                small.push(long);
            }
        }
        Self(slots.into())
    }

    /// The index that a random number leads to; none where there is nothing to draw from.
    pub(super) fn index(&self, random: u32) -> Option<usize> {
        let scaled = u64::from(random) * self.0.len() as u64;
        let at = (scaled >> 32) as usize;
        let slot = self.0.get(at)?;
        Some(if (scaled as u32) < slot.own { at } else { slot.other as usize })
    }

    /// One of those where the request may go, by weight; none where there is none.
    pub(super) fn among(&self, members: &Members, pick: &Pick<'_>) -> Option<usize> {
        let mut drawn = 0;
        for _ in 0..MOST_DRAWS {
            drawn = self.index(fastrand::u32(..))?;
            if members.may(drawn, pick) {
                return Some(drawn);
            }
        }
        // Nearly all of the weight is where it may not go.
        members.open(drawn, pick).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_index_has_its_share_of_all_numbers() {
        for weights in [&[1][..], &[5, 3, 1], &[1, 0, 1], &[65_536, 1, 7], &[2; 100], &[0, 0, 9]] {
            let draw = Draw::new(weights);
            let mut counts = vec![0_u32; weights.len()];
            let numbers = 1 << 16;
            (0..numbers).for_each(|number| counts[draw.index(number << 16).unwrap()] += 1);
            let whole: u32 = weights.iter().sum();
            for (weight, count) in weights.iter().zip(counts) {
                let expected = f64::from(*weight) / f64::from(whole) * f64::from(numbers);
                assert!(
                    (expected - f64::from(count)).abs() <= 2.0 * weights.len() as f64,
                    "{weights:?} {weight} {count}"
                );
                assert!(*weight > 0 || count == 0, "{weights:?}");
            }
        }
    }

    #[test]
    fn from_nothing_nothing_is_drawn() {
        assert_eq!(Draw::new(&[]).index(7), None);
        assert_eq!(Draw::new(&[0, 0]).index(7), None);
    }
}
