//! `balance` and `hash_by`: the table of algorithms, and what they are called.

use std::time::Instant;

use super::adaptive::Adaptive;
use super::asking::{Members, Pick};
use super::ewma::Ewma;
use super::foresight::Foresight;
use super::hash::Hash;
use super::least_connections::LeastConnections;
use super::p2c::PowerOfTwo;
use super::random::Random;
use super::round_robin::RoundRobin;
use super::{HashBy, Measures};
use crate::base::settings::{Node, Setting, Shape};

/// Chooses among endpoints. Workers share it: it may count, but never waits.
pub(super) trait Balancer: std::fmt::Debug + Send + Sync {
    /// The index of the endpoint for a request; never one where it was before. None where it was everywhere.
    fn pick(&self, members: &Members, pick: &Pick<'_>) -> Option<usize>;

    /// What it goes by at this moment, and whom it would pick where that is certain. Takes no turn and draws nothing.
    fn foresee(&self, members: &Members, pick: &Pick<'_>) -> Foresight;
}

/// `balance`. `weighted` and `weighted_round_robin` are accepted for `round_robin`, which honours weights, as all do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// Smooth weighted round robin.
    #[default]
    RoundRobin,
    /// At random by weight.
    Random,
    /// The fewest requests in flight for the weight.
    LeastConnections,
    /// Consistent hashing by the client's address.
    IpHash,
    /// Consistent hashing by what `hash_by` says.
    Hash,
    /// The fewer requests in flight of two drawn at random.
    PowerOfTwo,
    /// The sooner answer expected of two drawn at random.
    Ewma,
    /// At random by weights that follow what is measured.
    Adaptive,
}

/// The first word of each is the one it is shown by.
const ALGORITHMS: [(&str, Algorithm); 13] = [
    ("round_robin", Algorithm::RoundRobin),
    ("random", Algorithm::Random),
    ("least_connections", Algorithm::LeastConnections),
    ("ip_hash", Algorithm::IpHash),
    ("hash", Algorithm::Hash),
    ("p2c", Algorithm::PowerOfTwo),
    ("ewma", Algorithm::Ewma),
    ("adaptive", Algorithm::Adaptive),
    ("weighted", Algorithm::RoundRobin),
    ("weighted_round_robin", Algorithm::RoundRobin),
    ("least_conn", Algorithm::LeastConnections),
    ("leastconnections", Algorithm::LeastConnections),
    ("iphash", Algorithm::IpHash),
];

impl Algorithm {
    /// Its name.
    pub fn name(self) -> &'static str {
        ALGORITHMS.iter().find(|(_, algorithm)| *algorithm == self).map_or("", |(word, _)| word)
    }

    /// What it wants to know of answers.
    pub fn measures(self) -> Measures {
        match self {
            Self::Ewma => Measures::Peak,
            Self::Adaptive => Measures::Share,
            Self::RoundRobin | Self::Random | Self::LeastConnections | Self::IpHash | Self::Hash | Self::PowerOfTwo => {
                Measures::Nothing
            }
        }
    }

    /// It at work among `members`.
    pub(super) fn balancer(self, by: &HashBy, members: &Members) -> Box<dyn Balancer> {
        match self {
            Self::RoundRobin => Box::new(RoundRobin::new(members.weights())),
            Self::Random => Box::new(Random::new(members)),
            Self::LeastConnections => Box::new(LeastConnections::new(members)),
            Self::IpHash => Box::new(Hash::new(members, &HashBy::Ip)),
            Self::Hash => Box::new(Hash::new(members, by)),
            Self::PowerOfTwo => Box::new(PowerOfTwo::new(members)),
            Self::Ewma => Box::new(Ewma::new(members)),
            Self::Adaptive => Box::new(Adaptive::new(members, Instant::now())),
        }
    }
}

#[cfg(test)]
impl Algorithm {
    /// Each of them.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let first = |(at, (_, algorithm)): (usize, &(&str, Self))| {
            ALGORITHMS.iter().position(|(_, other)| other == algorithm).is_some_and(|first| first == at)
        };
        ALGORITHMS.iter().enumerate().filter(move |entry| first(*entry)).map(|(_, (_, algorithm))| *algorithm)
    }
}

impl Setting for Algorithm {
    fn shape() -> Shape {
        Shape::words(&ALGORITHMS)
    }

    fn read(node: &Node<'_>) -> Option<Self> {
        node.choice(&ALGORITHMS)
    }

    fn shown(&self) -> serde_json::Value {
        self.name().into()
    }
}
