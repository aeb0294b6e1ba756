//! Who is asking: a client certificate, else a bearer token, else nobody in particular.

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::tokens::FixedTokens;
use crate::api::authorize::Tokens;
use crate::status::Status;
use crate::user::User;

/// Finds the user of a request.
pub struct Authenticator {
    fixed: FixedTokens,
    issued: Option<Arc<dyn Tokens>>,
}

impl Authenticator {
    /// Accepts fixed tokens and, where given, issued ones.
    pub fn new(fixed: FixedTokens, issued: Option<Arc<dyn Tokens>>) -> Self {
        Self { fixed, issued }
    }

    /// The user of a request, given the user of the connection's client certificate if it has one.
    ///
    /// # Errors
    /// 401 for a token that is wrong or has ended: who tries to prove himself and fails is not let in as a stranger.
    pub fn user(&self, certificate: Option<&User>, headers: &HeaderMap) -> Result<User, Status> {
        if let Some(user) = certificate {
            return Ok(user.clone());
        }
        let Some(token) = bearer(headers) else { return Ok(User::anonymous()) };
        let issued = || self.issued.as_ref().and_then(|tokens| tokens.user(token));
        self.fixed.user(token).or_else(issued).ok_or_else(|| Status::new(401, "Unauthorized", "Unauthorized"))
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    // A header that is no text is no token either, but it is an attempt: the empty token is never right.
    let value = headers.get(AUTHORIZATION)?.to_str().unwrap_or("bearer ?");
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests;
