//! Validation and authentication, in the order of the exchange.

use super::explanation::Says;
use super::telling::{Stop, Telling};
use crate::proxy::fault::Fault;
use crate::proxy::http::body::Length;
use crate::proxy::message::Request;
use crate::proxy::policy::auth::{Unfit, Way};
use crate::proxy::snapshot::Route;

/// See `Exchange::guard`. Passwords are not looked at, and no service is asked.
pub(super) fn guard(route: &Route, length: Length, request: &Request, told: &mut Telling) -> Result<(), Stop> {
    if let Some(rule) = &route.validate {
        let has_body = !matches!(length, Length::Empty | Length::Tunnel);
        let checked = rule.check(request, has_body);
        checked.map_err(|unlike| told.refused("validate", "it is not as the route asks", unlike.fault))?;
        told.say("validate", Says::Passes, "it is as the route asks");
    }
    let Some(auth) = &route.auth else { return Ok(()) };
    let (says, why) = match &auth.way {
        Way::Basic(basic) if !basic.has_credentials(&request.fields) => {
            return Err(told.refused("auth", "it names no user and password (Basic)", Fault::Unauthenticated));
        }
        Way::Basic(_) => (Says::Open, "the password is looked at when the request comes"),
        Way::Forward(_) => (Says::Open, "the service is asked when the request comes"),
        Way::Jwt(jwt) => match jwt.verify(&request.fields) {
            Ok(_) => (Says::Passes, "its token is good"),
            Err(Unfit::Bad(_)) => {
                return Err(told.refused("auth", "it has no token, or a bad one (Bearer)", Fault::Unauthenticated));
            }
            Err(Unfit::UnknownKey(_) | Unfit::NoKeys) if jwt.remote().is_some() => {
                (Says::Open, "the keys of its issuer are fetched when the request comes")
            }
            Err(Unfit::UnknownKey(_)) => {
                return Err(told.refused("auth", "its token is signed by none of the keys", Fault::Unauthenticated));
            }
            Err(Unfit::NoKeys) => {
                return Err(told.refused("auth", "there are no keys to verify its token with", Fault::AuthUnavailable));
            }
        },
    };
    told.say("auth", says, why);
    Ok(())
}
