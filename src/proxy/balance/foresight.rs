//! Whom a pool would pick, and by what, without picking.

use std::sync::Arc;

use super::asking::Members;
use super::{Endpoint, Nobody};

/// What an algorithm goes by, and whom it would pick.
#[derive(Debug, Default)]
pub(super) struct Foresight {
    /// The one that it would pick; none where that is left to chance.
    pub(super) pick: Option<usize>,
    /// What its numbers are, and the number of each member. Nothing where it goes by weights alone.
    pub(super) scores: Option<(&'static str, Vec<f32>)>,
}

impl Foresight {
    /// With a number for each member; less is better, unless `what` says otherwise.
    pub(super) fn scored(
        pick: Option<usize>,
        what: &'static str,
        members: &Members,
        score: impl Fn(usize) -> f32,
    ) -> Self {
        Self { pick, scores: Some((what, (0..members.count()).map(score).collect())) }
    }
}

/// What a pool has for a request.
#[derive(Debug)]
pub struct Prospect<'p> {
    /// What the numbers of the candidates are; empty where there are none.
    pub score: &'static str,
    /// Why nobody would be picked; none where somebody would.
    pub nobody: Option<Nobody>,
    /// Every endpoint.
    pub candidates: Vec<Candidate<'p>>,
}

/// An endpoint as it stands beside the others.
#[derive(Debug)]
pub struct Candidate<'p> {
    /// The endpoint.
    pub endpoint: &'p Arc<Endpoint>,
    /// Its weight; 0 gets nothing.
    pub weight: u32,
    /// Whether it gets requests only where no other can be picked.
    pub backup: bool,
    /// The number that the algorithm goes by, where it goes by one.
    pub score: Option<f32>,
    /// Whether the request would go there. Where nobody is, it is left to chance.
    pub picked: bool,
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::tests::{asking, settings};
    use super::super::{Active, Algorithm, Asking, HashBy, Pool, Resolution};
    use crate::base::metrics::Registry;
    use crate::base::place::At;

    const ALL: [Algorithm; 8] = [
        Algorithm::RoundRobin,
        Algorithm::Random,
        Algorithm::LeastConnections,
        Algorithm::IpHash,
        Algorithm::Hash,
        Algorithm::PowerOfTwo,
        Algorithm::Ewma,
        Algorithm::Adaptive,
    ];

    fn pool(algorithm: Algorithm, weights: &[(u16, bool)]) -> Pool {
        let urls: Vec<String> = (1..=weights.len()).map(|port| format!("http://10.0.0.1:{port}")).collect();
        let mut settings = settings(&urls.iter().map(String::as_str).collect::<Vec<_>>());
        settings.balance = algorithm;
        settings.hash_by = Some(At { value: HashBy::Path, ..At::default() });
        for (backend, (weight, backup)) in settings.backends.iter_mut().zip(weights) {
            (backend.weight, backend.backup) = (*weight, *backup);
        }
        Pool::build(&settings, &Registry::new(), None, &Resolution::default(), None)
    }

    fn foreseen(pool: &Pool, asking: &Asking<'_>) -> Option<u64> {
        let prospect = pool.foresee(asking);
        let mut picked = prospect.candidates.iter().filter(|candidate| candidate.picked);
        let id = picked.next().map(|candidate| candidate.endpoint.id);
        assert!(picked.next().is_none());
        id
    }

    #[test]
    fn who_is_foreseen_is_picked() {
        let mut random = fastrand::Rng::with_seed(11);
        for algorithm in ALL {
            let certain = matches!(
                algorithm,
                Algorithm::RoundRobin | Algorithm::LeastConnections | Algorithm::IpHash | Algorithm::Hash
            );
            for _ in 0..40 {
                let weights: Vec<(u16, bool)> =
                    (0..random.usize(1..5)).map(|_| (random.u16(..4), random.u8(..4) == 0)).collect();
                let pool = pool(algorithm, &weights);
                let mut flying: Vec<Active> = Vec::new();
                for number in 0..50 {
                    let standing = &pool.endpoints[random.usize(..weights.len())].standing;
                    if random.bool() {
                        standing.fail()
                    } else {
                        standing.recover(Instant::now(), None)
                    }
                    let asking = Asking { client: [10, 0, 0, random.u8(..)].into(), ..asking(&[]) };
                    let (sight, again) = (foreseen(&pool, &asking), foreseen(&pool, &asking));
                    assert_eq!(sight, again, "looking takes no turn");
                    let picked = pool.pick(&asking).ok().map(|endpoint| endpoint.id);
                    assert_eq!(pool.foresee(&asking).nobody.is_none(), picked.is_some(), "{weights:?}");
                    assert!(sight.is_none() || sight == picked, "{algorithm:?} {weights:?}");
                    assert!(sight.is_some() || !certain || picked.is_none(), "{algorithm:?} {weights:?}");
                    let endpoint = pool.endpoints.iter().find(|endpoint| Some(endpoint.id) == picked);
                    flying.extend(endpoint.filter(|_| number % 3 > 0).and_then(|endpoint| endpoint.begin(None)));
                }
            }
        }
    }

    #[test]
    fn numbers_are_those_that_it_goes_by() {
        let numbers = |algorithm| {
            let pool = pool(algorithm, &[(1, false), (3, false), (0, false), (1, true)]);
            let _flying: Vec<Active> = pool.endpoints.iter().filter_map(|endpoint| endpoint.begin(None)).collect();
            let asking = asking(&[]);
            let prospect = pool.foresee(&asking);
            let scores = prospect.candidates.iter().map(|candidate| candidate.score).collect::<Vec<_>>();
            (prospect.score, scores)
        };
        assert_eq!(numbers(Algorithm::Random), ("", vec![None; 4]));
        let burdens = vec![Some(2.0), Some(2.0 / 3.0), None, Some(1.0)];
        assert_eq!(numbers(Algorithm::LeastConnections), ("burden", burdens.clone()));
        assert_eq!(numbers(Algorithm::PowerOfTwo), ("burden", burdens));
        assert_eq!(numbers(Algorithm::Adaptive), ("current_weight", vec![Some(1.0), Some(3.0), None, Some(1.0)]));
        assert_eq!(numbers(Algorithm::Ewma).0, "cost_ms");
    }
}
