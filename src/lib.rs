//! Portcullis: a TLS edge gateway. This page is for those who build it; the README is for those who use it.
//!
//! ```text
//!            DATA PLANE  (proxy, one worker thread per core)
//! client ─► listen ─► tls ─► http ─► route ─► policy ─► balance ─► upstream ─► backend
//!           who      SNI    bytes   which    may        which      one attempt,
//!           calls    → cert ↔ msgs  pool     refuse     endpoint   pooled connection
//!                ▲       ▲                          ▲
//!                │ Live  │ CertSlot                 │ Endpoint::standing
//!            CONTROL PLANE  (control, a thread and a runtime of its own)
//!   config ─► build ─► gateway ─► workers          admin: health, metrics, status
//!   resolve: the addresses of names ─► build         health: probes of every endpoint
//! ```
//!
//! # In reading order
//!
//! * [`proxy::serve`] and [`proxy::exchange`] are the spine: what happens to a connection, and to one request.
//!   [`proxy::serve_h2`] is the same for HTTP/2, whose streams are exchanges of one task.
//! * [`proxy::message`] is what everything reads and edits: a byte arena and a flat list of fields. [`proxy::fault`] is every
//!   reason to refuse, and one table of what follows from it.
//! * The stations, in order of travel: [`proxy::listen`], [`proxy::tls`], [`proxy::http`], [`proxy::route`], [`proxy::policy`],
//!   [`proxy::balance`], [`proxy::upstream`]. [`proxy::io`] is the seam below them: plain TCP or TLS.
//! * [`proxy::explain`] goes the way of the spine without sending anything, and writes down why.
//! * [`proxy::snapshot`] is a whole config, compiled; [`proxy::worker`] is what a worker owns; [`proxy::accept`] and
//!   [`proxy::work`] are its loops.
//! * [`control::config`] reads the file, [`control::build`] compiles it, [`control::gateway`] makes it live,
//!   [`control::supervisor`] starts and ends the process. [`control::health`] probes the endpoints of what is live.
//! * [`base`] is what all of them stand on: checked values, settings, the coarse clock, buffers, counters, logs.
//!
//! # What always holds
//!
//! * Nothing imports upward, `proxy` never names `control`, and there is no import cycle. `tests/tidy` holds the floors.
//! * Control writes, data reads, through three crossings: [`proxy::snapshot::Live`], the current snapshot,
//!   [`proxy::tls::CertSlot`], a certificate swapped in place, and [`proxy::balance::Standing`], whether an endpoint gets
//!   requests. An exchange takes ONE snapshot and ends under it.
//! * A connection lives and dies on one worker. Workers share the snapshot, the limits of connections, the endpoints with their
//!   counts and what was measured of them, the cursor of each pool, the buckets of rate limits, and what is known of passwords;
//!   nothing else. Nothing is locked for a request but the shard of a bucket or of a password, where its route has a limit or
//!   asks for one. Passwords are hashed by a few threads beside the workers ([`base::crew`]).
//! * A request has one meaning to every part that sees it, or it is refused: one framing, one host, one deciding path.
//! * Of all lists of an ACL one decides on a request, by the resolved client address, before the client learns anything; whom all
//!   of them refuse gets no handshake.
//! * Where a route asks who somebody is, what its backend is told of that is never what the client said.
//! * Every size, count and time is bounded. Deadlines are alarms on a coarse clock ([`base::alarm`]), not timers.
//! * Workers dial addresses and never look up a name. [`control::resolve`] does, and an answer that differs is a new snapshot
//!   of the same config; what was answered well is kept until there is another good answer.
//! * A pool with an endpoint always has one to ask: where probes leave too few, or none, those that are down are asked too.
//! * A reload is all or nothing, and what has not changed goes on: connections, counts, tickets, certificates,
//!   the health of backends.
//! * A pool keeps requests away from at most half of its endpoints by their breakers, and says by which requests it came to
//!   that. A breaker costs an answer a few relaxed atomics, and takes no lock while its endpoint answers well.
//! * A backend whose URL says `https` is verified before a byte of a request is written to it, or it is not spoken to.
//! * A request that a backend may have acted on is not sent again, unless it is GET, HEAD or OPTIONS. What a backend of HTTP/2
//!   declares unprocessed is, whatever it is.
//! * A tunnel carries nothing before its backend has proved that it understood; of all upgrades only WebSocket is passed on.
//! * What is explained of a request is what happens to it: the stations decide in both, and one table of cases is sent to the
//!   gateway and asked about. Explaining takes no token and no turn, counts nothing, and tells no value of a header field.
//! * A panic costs one exchange (HTTP/2) or one connection (HTTP/1.1) and is counted.
//!
//! # Where it differs from the first drawing, and why
//!
//! * Settings are read by one function per table over a document with places ([`base::settings`]), not by serde: only so are all
//!   problems told at once, and the same function yields the JSON schema and the list of keys.
//! * `message` stands below the stations, because routes and policies read it and must not know the codecs.
//! * An exchange meets its two ends through [`proxy::http::body::Downstream`] and `upstream::backend`: HTTP/1.1 connections or
//!   streams of HTTP/2. A tunnel is the same two ends with [`proxy::http::body::Length::Tunnel`] for a message.
//! * The spine is two files, and their loops two more, so that no module imports the one that starts it.
//!
//! # To add a kind
//!
//! A balancing algorithm goes to [`proxy::balance`], a policy to [`proxy::policy`], a matcher to [`proxy::route`], a kind of probe
//! to [`control::health`], an admin page to [`control::admin`]: one file, and its line in the folder's table.
//! Whatever may refuse or change a request says in [`proxy::explain`] what it would do, in the place where the exchange asks it.

pub mod base;
pub mod control;
pub mod proxy;
