//! A response time that rises at once and falls slowly (peak EWMA), packed in one number.

use super::load::{TICKS, since};

/// The time in which what is remembered of a response time falls to half, in ticks: of one that is not asked any more, and, half
/// as fast at first, towards faster answers of one that is.
const HALF: u32 = 8 * TICKS;

/// What one bad answer makes of the response time: so many times as long.
const PUNISHMENT: f32 = 4.0;

/// What a response time counts at least where it is punished, in microseconds: failing is quick.
const SLOWEST_QUICK: f32 = 1_000.0;

/// No response time counts more, in microseconds.
const LONGEST: f32 = 60_000_000.0;

/// The response time and when it was told last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Peak {
    /// In microseconds.
    micros: f32,
    /// The tick.
    at: u32,
}

impl Peak {
    pub(super) fn unpack(bits: u64) -> Self {
        Self { micros: f32::from_bits((bits >> 32) as u32), at: bits as u32 }
    }

    pub(super) fn pack(self) -> u64 {
        u64::from(self.micros.to_bits()) << 32 | u64::from(self.at)
    }

    /// What is remembered of it at `now`.
    pub(super) fn value(self, now: u32) -> f32 {
        self.micros * remembered(self.at, now)
    }

    /// After an answer that took so long. Within one tick only the slowest counts, so that many answers weigh no more than few.
    pub(super) fn observed(self, micros: f32, now: u32) -> Self {
        let micros = micros.clamp(1.0, LONGEST);
        let kept = remembered(self.at, now);
        let blended = self.micros * kept + micros * (1.0 - kept);
        Self { micros: if micros > blended { micros } else { blended }, at: later(self.at, now) }
    }

    /// After a request that took so long and had no answer yet.
    pub(super) fn at_least(self, micros: f32, now: u32) -> Self {
        if micros > self.value(now) { self.observed(micros, now) } else { self }
    }

    /// After a bad answer.
    pub(super) fn punished(self, micros: f32, now: u32) -> Self {
        let micros = micros.max(self.value(now)).max(SLOWEST_QUICK) * PUNISHMENT;
        Self { micros: micros.min(LONGEST), at: later(self.at, now) }
    }
}

/// The part of what was told at `at` that is remembered at `now`. Between the powers of a half it falls along straight lines, for
/// a pick asks twice, and an exponential takes longer than all else of it.
fn remembered(at: u32, now: u32) -> f32 {
    let ticks = since(now, at).max(0).cast_unsigned();
    let (halvings, rest) = (ticks / HALF, ticks % HALF);
    // A float's exponent stands above 23 bits, and is 127 for 1.
    let halved = f32::from_bits(127_u32.saturating_sub(halvings) << 23);
    halved * (1.0 - rest as f32 / (2 * HALF) as f32)
}

/// Workers read their clocks one after the other.
fn later(at: u32, now: u32) -> u32 {
    if since(now, at) > 0 { now } else { at }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u32 = TICKS;

    fn after(observations: &[(f32, u32)]) -> Peak {
        observations.iter().fold(Peak::unpack(0), |peak, (micros, tick)| peak.observed(*micros, *tick))
    }

    #[test]
    fn it_rises_at_once_and_falls_slowly() {
        let peak = after(&[(1_000.0, 0), (9_000.0, 1)]);
        assert_eq!(peak.value(1), 9_000.0);
        let falling = peak.observed(1_000.0, 1 + SECOND);
        assert!((8_000.0..8_600.0).contains(&falling.value(1 + SECOND)), "{falling:?}");
        // Ten answers a second for a minute.
        let fast = (1..600).fold(peak, |peak, turn| peak.observed(1_000.0, 1 + turn * SECOND / 10));
        assert!((1_000.0..1_300.0).contains(&fast.value(60 * SECOND)), "{fast:?}");
    }

    #[test]
    fn one_that_is_not_asked_is_forgotten() {
        let peak = after(&[(1_000_000.0, 0)]);
        let seconds = |seconds: u32| peak.value(seconds * SECOND);
        assert_eq!([0, 4, 8, 12, 16].map(seconds), [1_000_000.0, 750_000.0, 500_000.0, 375_000.0, 250_000.0]);
        assert!(seconds(120) < 50.0);
        assert_eq!(peak.value(400 * 86_400 * SECOND / 2), 0.0, "for half a year");
    }

    #[test]
    fn bad_answers_count_more_each_time_and_quick_ones_do_too() {
        let mut peak = after(&[(2_000.0, 0)]);
        for expected in [8_000.0, 32_000.0, 128_000.0] {
            peak = peak.punished(100.0, 0);
            assert_eq!(peak.value(0), expected);
        }
        assert_eq!(Peak::unpack(0).punished(50.0, 7).value(7), 4_000.0);
        let worst = (0..100).fold(peak, |peak, tick| peak.punished(100.0, tick));
        assert_eq!(worst.value(99), LONGEST);
    }

    #[test]
    fn a_client_that_left_says_only_that_it_took_longer() {
        let peak = after(&[(2_000.0, 0)]);
        assert_eq!(peak.at_least(100.0, 0), peak);
        assert_eq!(peak.at_least(5_000.0, 0).value(0), 5_000.0);
    }

    #[test]
    fn clocks_that_were_read_in_another_order_do_no_harm() {
        let peak = after(&[(1_000.0, 100), (500.0, 98)]);
        assert_eq!((peak.value(97), peak.value(100)), (1_000.0, 1_000.0));
        assert_eq!(Peak::unpack(peak.pack()), peak);
    }
}
