//! When each name is asked for, and what is held of its answers. Time comes from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer::Answer;
use crate::proxy::balance::{Found, Question};

/// After a failure a name is asked for again after so long, doubling.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest that a failing name is left alone.
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// Every name that backends of the config have.
#[derive(Debug)]
pub(super) struct Schedule {
    names: BTreeMap<Question, State>,
    /// When which name is due.
    queue: BTreeSet<(Instant, Question)>,
    random: fastrand::Rng,
}

/// One name.
#[derive(Debug, Default)]
struct State {
    /// How often it is asked for; nothing for only at the start and at reloads.
    every: Option<Duration>,
    /// When it is due; nothing while it is being asked for, or when it is not asked for again.
    due: Option<Instant>,
    /// Whether it is being asked for.
    asking: bool,
    /// Whether what comes of that is no longer wanted: it is to be asked for again.
    stale: bool,
    /// Whether it was ever answered or refused.
    settled: bool,
    /// How often it failed since it was last answered.
    failures: u32,
    /// Why it failed last.
    problem: Option<String>,
    /// The last good answer; empty where there was none.
    found: Arc<[Found]>,
}

/// What a look-up changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// The name failed, and had not before.
    pub(super) began_to_fail: bool,
    /// It was answered, and had failed before.
    pub(super) mended: bool,
    /// It has other addresses.
    pub(super) changed: bool,
}

impl Schedule {
    /// No names. `random` spreads the look-ups of many gateways and names over time.
    pub(super) fn new(random: fastrand::Rng) -> Self {
        Self { names: BTreeMap::new(), queue: BTreeSet::new(), random }
    }

    /// Takes up the names of a config, each as often as the most impatient pool wants it. New ones are due at once, and so
    /// are those that are only asked for at reloads. What the config no longer has is forgotten.
    pub(super) fn follow(&mut self, wanted: impl IntoIterator<Item = (Question, Option<Duration>)>, now: Instant) {
        let mut intervals: BTreeMap<Question, Option<Duration>> = BTreeMap::new();
        for (question, every) in wanted {
            intervals
                .entry(question)
                .and_modify(|known| *known = [*known, every].into_iter().flatten().min())
                .or_insert(every);
        }
        self.names.retain(|question, _| intervals.contains_key(question));
        for (question, every) in intervals {
            let state = self.names.entry(question).or_default();
            state.every = every;
            let soonest = match every {
                Some(every) if state.settled => now + every,
                _ => now,
            };
            if !state.asking {
                state.due = Some(state.due.map_or(soonest, |due| due.min(soonest)));
            }
        }
        self.queue = self.names.iter().filter_map(|(name, state)| Some((state.due?, name.clone()))).collect();
    }

    /// Makes every name due: another name server is to be asked. What the one before still answers does not count.
    pub(super) fn ask_all(&mut self, now: Instant) {
        for state in self.names.values_mut() {
            state.stale = state.asking;
            state.due = (!state.asking).then_some(now);
        }
        self.queue = self.names.iter().filter_map(|(name, state)| Some((state.due?, name.clone()))).collect();
    }

    /// When the next name is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.queue.first().map(|(due, _)| *due)
    }

    /// A name that is due, with its last good answer. It is being asked for until [`Self::ended`] is told.
    pub(super) fn begin(&mut self, now: Instant) -> Option<(Question, Arc<[Found]>)> {
        let (_, question) = self.queue.first().filter(|(due, _)| *due <= now).cloned()?;
        self.queue.pop_first();
        let state = self.names.get_mut(&question)?;
        (state.due, state.asking) = (None, true);
        Some((question, Arc::clone(&state.found)))
    }

    /// Takes up what came of asking for a name. A failure leaves its last good answer as it is.
    pub(super) fn ended(&mut self, question: &Question, result: Result<Answer, String>, now: Instant) -> News {
        // One that the config has no longer, or a second answer to one that left it and came back.
        let Some(state) = self.names.get_mut(question).filter(|state| state.asking) else { return News::default() };
        state.asking = false;
        if std::mem::take(&mut state.stale) {
            state.due = Some(now);
            self.queue.insert((now, question.clone()));
            return News::default();
        }
        state.settled = true;
        let mut news = News::default();
        let pause = match result {
            Ok(answer) => {
                news.mended = state.problem.take().is_some();
                news.changed = *state.found != *answer.found;
                state.failures = 0;
                state.found = answer.found.into();
                state.every
            }
            Err(problem) => {
                news.began_to_fail = state.problem.is_none();
                let doubled = FIRST_RETRY * 2_u32.pow(state.failures.min(10));
                state.failures += 1;
                state.problem = Some(problem);
                Some(doubled.min(LONGEST_RETRY))
            }
        };
        state.due = pause.map(|pause| now + pause.mul_f64(0.9 + 0.2 * self.random.f64()));
        self.queue.extend(state.due.map(|due| (due, question.clone())));
        news
    }

    /// Whether every name was answered or refused at least once.
    pub(super) fn is_settled(&self) -> bool {
        self.names.values().all(|state| state.settled)
    }

    /// The last good answers.
    pub(super) fn answers(&self) -> impl Iterator<Item = (Question, Arc<[Found]>)> {
        self.names.iter().map(|(question, state)| (question.clone(), Arc::clone(&state.found)))
    }

    /// The last good answer for a name.
    pub(super) fn found(&self, question: &Question) -> Option<&Arc<[Found]>> {
        self.names.get(question).map(|state| &state.found)
    }

    /// The names that do not resolve now, and why.
    pub(super) fn problems(&self) -> impl Iterator<Item = (Question, String)> {
        self.names.iter().filter_map(|(question, state)| Some((question.clone(), state.problem.clone()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::balance::Kind;

    const SECOND: Duration = Duration::from_secs(1);

    fn name(name: &str) -> Question {
        Question { name: name.into(), absolute: false, kind: Kind::Addresses }
    }

    fn answer(addresses: &[&str]) -> Result<Answer, String> {
        let found = addresses.iter().map(|address| {
            let address = address.parse().unwrap();
            Found { address, port: None, weight: 1, host: "h".into() }
        });
        Ok(Answer { found: found.collect(), ..Answer::default() })
    }

    fn failure() -> Result<Answer, String> {
        Err("no answer".to_owned())
    }

    fn following(names: &[(&str, u64)], now: Instant) -> Schedule {
        let mut schedule = Schedule::new(fastrand::Rng::with_seed(7));
        schedule.follow(names.iter().map(|(text, every)| wanted(text, *every)), now);
        schedule
    }

    fn wanted(text: &str, every: u64) -> (Question, Option<Duration>) {
        (name(text), (every > 0).then(|| SECOND * every as u32))
    }

    /// How long after `now` the next name is due, in tenths of `unit`.
    fn tenths(schedule: &Schedule, now: Instant, unit: Duration) -> u128 {
        (schedule.next_due().unwrap() - now).as_millis() * 10 / unit.as_millis()
    }

    #[test]
    fn a_name_is_asked_for_once_however_many_pools_have_it_and_as_often_as_the_most_impatient_wants() {
        let now = Instant::now();
        let mut schedule = following(&[("a", 30), ("a", 10), ("a", 0)], now);
        assert_eq!(schedule.begin(now).unwrap().0, name("a"));
        assert!(schedule.begin(now).is_none() && !schedule.is_settled());
        let news = schedule.ended(&name("a"), answer(&["10.0.0.1"]), now);
        assert_eq!(news, News { changed: true, ..News::default() });
        assert!(schedule.is_settled());
        assert!((9..=11).contains(&tenths(&schedule, now, 10 * SECOND)));
        assert!(schedule.begin(now + 8 * SECOND).is_none());
        assert!(schedule.begin(now + 11 * SECOND).is_some());
    }

    #[test]
    fn a_failure_keeps_the_last_good_answer_and_backs_off_to_half_a_minute() {
        let mut now = Instant::now();
        let mut schedule = following(&[("a", 5)], now);
        schedule.begin(now);
        schedule.ended(&name("a"), answer(&["10.0.0.1"]), now);
        let mut pauses = Vec::new();
        for number in 0..8 {
            now = schedule.next_due().unwrap();
            let (question, last) = schedule.begin(now).unwrap();
            assert_eq!(last.len(), 1);
            let news = schedule.ended(&question, failure(), now);
            assert_eq!(news, News { began_to_fail: number == 0, ..News::default() });
            pauses.push((schedule.next_due().unwrap() - now).as_secs_f64().round() as u64);
        }
        for (pause, expected) in pauses.iter().zip([1, 2, 4, 8, 16, 30, 30, 30]) {
            assert!(pause.abs_diff(expected) <= expected / 10 + 1, "{pauses:?}");
        }
        assert_eq!(schedule.problems().collect::<Vec<_>>(), [(name("a"), "no answer".to_owned())]);
        now = schedule.next_due().unwrap();
        schedule.begin(now);
        let news = schedule.ended(&name("a"), answer(&["10.0.0.1"]), now);
        assert_eq!(news, News { mended: true, ..News::default() });
        assert_eq!((schedule.problems().count(), tenths(&schedule, now, 5 * SECOND) / 3), (0, 3));
    }

    #[test]
    fn without_an_interval_a_name_is_asked_for_until_it_is_answered_and_again_at_a_reload() {
        let mut now = Instant::now();
        let mut schedule = following(&[("a", 0)], now);
        schedule.begin(now);
        schedule.ended(&name("a"), failure(), now);
        now = schedule.next_due().unwrap();
        schedule.begin(now);
        schedule.ended(&name("a"), answer(&["10.0.0.1"]), now);
        assert_eq!(schedule.next_due(), None);
        schedule.follow([wanted("a", 0)], now);
        assert_eq!(schedule.next_due(), Some(now));
        assert!(schedule.is_settled());
    }

    #[test]
    fn names_that_leave_the_config_are_forgotten_and_the_rest_goes_on() {
        let now = Instant::now();
        let mut schedule = following(&[("a", 30), ("b", 30)], now);
        for text in ["a", "b"] {
            schedule.begin(now);
            schedule.ended(&name(text), answer(&["10.0.0.1"]), now);
        }
        let due = schedule.next_due();
        schedule.follow([wanted("b", 30), wanted("c", 30)], now);
        assert_eq!(schedule.next_due(), Some(now));
        assert_eq!(schedule.begin(now).unwrap().0, name("c"));
        assert_eq!(schedule.answers().map(|(_, found)| found.len()).collect::<Vec<_>>(), [1, 0]);
        assert!(schedule.next_due() >= due);
        assert_eq!(schedule.ended(&name("a"), answer(&["10.0.0.9"]), now), News::default());
    }

    #[test]
    fn answers_that_flip_are_changes_and_never_sooner_than_the_interval() {
        let mut now = Instant::now();
        let mut schedule = following(&[("a", 1)], now);
        for turn in 0..100 {
            let (question, _) = schedule.begin(now).unwrap();
            assert!(schedule.begin(now + 60 * SECOND).is_none());
            let addresses = [["10.0.0.1"], ["10.0.0.2"]][turn % 2];
            assert!(schedule.ended(&question, answer(&addresses), now).changed);
            assert!((9..=11).contains(&tenths(&schedule, now, SECOND)));
            now = schedule.next_due().unwrap();
        }
    }

    #[test]
    fn another_name_server_is_asked_at_once() {
        let now = Instant::now();
        let mut schedule = following(&[("a", 30)], now);
        schedule.begin(now);
        schedule.ended(&name("a"), answer(&["10.0.0.1"]), now);
        schedule.ask_all(now);
        assert_eq!(schedule.next_due(), Some(now));
    }

    #[test]
    fn what_the_name_server_before_still_answers_does_not_count() {
        let now = Instant::now();
        for result in [answer(&["10.0.0.1"]), failure()] {
            let mut schedule = following(&[("a", 0)], now);
            schedule.begin(now);
            schedule.ask_all(now);
            assert_eq!(schedule.next_due(), None);
            let later = now + SECOND;
            assert_eq!(schedule.ended(&name("a"), result, later), News::default());
            assert!(!schedule.is_settled() && schedule.problems().count() == 0);
            assert_eq!(schedule.begin(later).unwrap().1.len(), 0);
            assert!(schedule.ended(&name("a"), answer(&["10.0.0.2"]), later).changed);
            assert_eq!((schedule.is_settled(), schedule.next_due()), (true, None));
        }
    }
}
