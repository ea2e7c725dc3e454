//! An exchange and its rate limits.

use std::time::Instant;

use super::Exchange;
use crate::base::mode::Mode;
use crate::proxy::fault::Fault;
use crate::proxy::message::Request;
use crate::proxy::policy::rate_limit::{Asked, RateLimits, Refusal};
use crate::proxy::snapshot::Route;

impl Exchange<'_> {
    /// The limits of the client and of the route: what they refuse goes no further and costs no token of all together.
    pub(super) fn limit_client(&mut self, route: &Route, host: &str, request: &Request) -> Result<(), Fault> {
        self.limit(|limits, asked, at| limits.check(&route.rate_limits, asked, at), host, request)
    }

    /// The limit of all together, for a request that neither the other limits nor the ACL have refused.
    pub(super) fn limit_all(&mut self, route: &Route, host: &str, request: &Request) -> Result<(), Fault> {
        if self.observed.contains(&Fault::RateLimited) {
            return Ok(());
        }
        self.limit(|limits, asked, at| limits.check_all(&route.rate_limits, asked, at), host, request)
    }

    fn limit(
        &mut self,
        check: impl FnOnce(&RateLimits, &Asked<'_>, Instant) -> Result<(), Refusal>,
        host: &str,
        request: &Request,
    ) -> Result<(), Fault> {
        let limits = &self.snapshot.rate_limits;
        let asked = Asked { client: self.client.address, host, fields: &request.fields };
        let Err(refusal) = check(limits, &asked, self.started) else { return Ok(()) };
        if limits.observes() {
            return self.object(Fault::RateLimited, Mode::Observe);
        }
        self.limited = Some(refusal);
        Err(Fault::RateLimited)
    }
}
