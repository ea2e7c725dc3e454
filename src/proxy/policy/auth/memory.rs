//! Which passwords were right a while ago, so that they are not hashed for every request, and which are being hashed now.
//!
//! Nothing of a password is kept: what is known is a keyed hash of name, line of the file and password together, under a key that
//! ends with the process. A line that changes is another one. What was wrong is not remembered.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use tokio::sync::oneshot;

use super::users::User;
use crate::base::crew::{Bounds, Crew, Full};

/// How long a password that was right counts as known.
const KNOWN_FOR: Duration = Duration::from_secs(300);

const SHARDS: usize = 16;
/// Known passwords in one shard.
const PER_SHARD: usize = 4096;

/// What may wait to be hashed, and what one client may have there.
const WAITING: usize = 64;
const OF_ONE_CLIENT: usize = 4;

/// A keyed hash.
type Id = [u8; 32];

/// What is known of passwords, and the threads that find out more. One for all routes.
pub struct Memory {
    key: hmac::Key,
    shards: [Mutex<HashMap<Id, Slot>>; SHARDS],
    crew: Crew,
}

enum Slot {
    /// Right, and known to be until then.
    Right(Instant),
    /// Being hashed; who waits for it.
    Asked(Vec<oneshot::Sender<bool>>),
}

/// One password to be checked.
pub(super) struct Asked<'a> {
    pub(super) name: &'a str,
    /// Whose hash it is held against.
    pub(super) user: &'a Arc<User>,
    /// Whether there is a user of that name; if not, another's hash stands in, and whatever comes of it counts as wrong.
    pub(super) exists: bool,
    pub(super) password: &'a [u8],
}

impl Memory {
    /// One that knows nothing yet.
    ///
    /// # Errors
    /// Where the system has no random numbers.
    pub fn new() -> Result<Self, aws_lc_rs::error::Unspecified> {
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let bounds = Bounds { threads: (cores / 2).clamp(1, 4), waiting: WAITING, of_one: OF_ONE_CLIENT };
        Ok(Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            shards: std::array::from_fn(|_| Mutex::default()),
            crew: Crew::new(bounds),
        })
    }

    /// A number that goes with a name and that nobody can foretell.
    pub(super) fn number_of(&self, name: &str) -> usize {
        let tag = hmac::sign(&self.key, name.as_bytes());
        tag.as_ref().iter().take(4).fold(0, |number, byte| number << 8 | usize::from(*byte))
    }

    /// Whether the password is right. `from` is the client.
    ///
    /// # Errors
    /// Where so many are being hashed that this one has no room.
    pub(super) async fn check(self: &Arc<Self>, asked: &Asked<'_>, from: IpAddr, now: Instant) -> Result<bool, Full> {
        let id = self.id(asked);
        let (sender, answer) = oneshot::channel();
        let first = {
            let mut shard = self.shard(&id);
            match shard.get_mut(&id) {
                Some(Slot::Right(until)) if *until > now => return Ok(true),
                Some(Slot::Asked(waiting)) => {
                    waiting.retain(|waits| !waits.is_closed());
                    waiting.push(sender);
                    false
                }
                Some(Slot::Right(_)) | None => {
                    shard.insert(id, Slot::Asked(vec![sender]));
                    true
                }
            }
        };
        if first {
            self.hash(id, asked, from)?;
        }
        // Whoever was to answer is gone where it panicked, or had no room.
        answer.await.map_err(|_| Full)
    }

    /// Leaves the work to the crew.
    fn hash(self: &Arc<Self>, id: Id, asked: &Asked<'_>, from: IpAddr) -> Result<(), Full> {
        let (user, exists, password) = (Arc::clone(asked.user), asked.exists, asked.password.to_vec());
        let mut pending = Pending { memory: Arc::clone(self), id, settled: false };
        let job = move || {
            if pending.is_wanted() {
                let right = user.hash.is_of(&password);
                pending.answer(right && exists);
            }
        };
        self.crew.take(from, Box::new(job))
    }

    fn id(&self, asked: &Asked<'_>) -> Id {
        let mut context = hmac::Context::with_key(&self.key);
        let kind: &[u8] = if asked.exists { b"user" } else { b"nobody" };
        for part in [kind, asked.name.as_bytes(), asked.user.written.as_bytes(), asked.password] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut id = [0; 32];
        id.copy_from_slice(context.sign().as_ref());
        id
    }

    fn shard(&self, id: &Id) -> MutexGuard<'_, HashMap<Id, Slot>> {
        self.shards[usize::from(id[0]) % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A password that is being hashed. Forgotten where that comes to nothing.
struct Pending {
    memory: Arc<Memory>,
    id: Id,
    /// Whether the slot is no longer this one's.
    settled: bool,
}

impl Pending {
    /// Whether anybody still waits. If not, whoever asks from now on is the first.
    fn is_wanted(&mut self) -> bool {
        let mut shard = self.memory.shard(&self.id);
        let waits = |sender: &oneshot::Sender<bool>| !sender.is_closed();
        let wanted = matches!(shard.get(&self.id), Some(Slot::Asked(waiting)) if waiting.iter().any(waits));
        if !wanted {
            shard.remove(&self.id);
            self.settled = true;
        }
        wanted
    }

    /// Tells everybody who waits.
    fn answer(mut self, right: bool) {
        self.settled = true;
        let now = Instant::now();
        let mut shard = self.memory.shard(&self.id);
        let Some(Slot::Asked(waiting)) = shard.remove(&self.id) else { return };
        if right && shard.len() >= PER_SHARD {
            shard.retain(|_, slot| !matches!(slot, Slot::Right(until) if *until <= now));
        }
        if right && shard.len() < PER_SHARD {
            shard.insert(self.id, Slot::Right(now + KNOWN_FOR));
        }
        drop(shard);
        for sender in waiting {
            // Who has gone meanwhile need not know.
            let _ = sender.send(right);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.settled {
            self.memory.shard(&self.id).remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::testing::argon2id_of;
    use super::super::users::Users;
    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn users(password: &str) -> Users {
        Users::parse(Path::new("users"), &format!("ann:{}\n", argon2id_of(password))).ok().unwrap()
    }

    fn check(memory: &Arc<Memory>, users: &Users, (name, password): (&str, &str), now: Instant) -> Result<bool, Full> {
        let user = users.find(name);
        let asked = Asked {
            name,
            user: user.unwrap_or_else(|| users.stand_in(memory.number_of(name))),
            exists: user.is_some(),
            password: password.as_bytes(),
        };
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(memory.check(&asked, CLIENT, now))
    }

    fn known(memory: &Memory) -> usize {
        memory.shards.iter().map(|shard| shard.lock().unwrap().len()).sum()
    }

    #[test]
    fn only_what_was_right_is_remembered_and_only_for_its_line() {
        let (memory, now) = (Arc::new(Memory::new().unwrap()), Instant::now());
        let list = users("secret");
        for (name, password, right) in
            [("ann", "secret", true), ("ann", "wrong", false), ("bob", "secret", false), ("ann", "", false)]
        {
            assert_eq!(check(&memory, &list, (name, password), now), Ok(right), "{name} {password}");
        }
        assert_eq!(known(&memory), 1);
        assert_eq!(check(&memory, &list, ("ann", "secret"), now), Ok(true));
        assert_eq!(check(&memory, &list, ("ann", "secret"), now + KNOWN_FOR * 2), Ok(true), "hashed again");
        assert_eq!(known(&memory), 1);
        // Another line, though of the same user: what is known does not open it.
        assert_eq!(check(&memory, &users("other"), ("ann", "secret"), now), Ok(false));
    }

    #[test]
    fn those_who_ask_the_same_wait_for_one_hash() {
        let (memory, now) = (Arc::new(Memory::new().unwrap()), Instant::now());
        let list = users("secret");
        let asked = Asked { name: "ann", user: list.find("ann").unwrap(), exists: true, password: b"secret" };
        let all = futures_util::future::join_all((0..20).map(|_| memory.check(&asked, CLIENT, now)));
        let answers = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(all);
        // More than one client may have there: they are one piece of work.
        assert_eq!(answers, vec![Ok(true); 20]);
    }

    #[test]
    fn a_client_with_too_many_is_told_so_and_nothing_is_left_of_it() {
        let (memory, now) = (Arc::new(Memory::new().unwrap()), Instant::now());
        let list = users("secret");
        let passwords: Vec<String> = (0..200).map(|number| number.to_string()).collect();
        let asked: Vec<Asked<'_>> = passwords
            .iter()
            .map(|password| Asked {
                name: "ann",
                user: list.find("ann").unwrap(),
                exists: true,
                password: password.as_bytes(),
            })
            .collect();
        let all = futures_util::future::join_all(asked.iter().map(|asked| memory.check(asked, CLIENT, now)));
        let answers = tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(all);
        assert!(answers.contains(&Ok(false)) && answers.contains(&Err(Full)), "{answers:?}");
        assert_eq!(known(&memory), 0);
    }
}
