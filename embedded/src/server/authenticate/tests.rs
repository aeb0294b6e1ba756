#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Arc;

use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue};

use super::Authenticator;
use crate::api::authorize::Tokens;
use crate::server::tokens::FixedTokens;
use crate::status::Status;
use crate::user::User;

/// Knows one token, of ann.
struct OneToken;

impl Tokens for OneToken {
    fn issue(&self, _: &crate::api::authorize::Bearer<'_>, _: &[String], _: i64) -> Result<(String, String), Status> {
        Err(Status::bad_request("this issues nothing"))
    }
    fn user(&self, token: &str) -> Option<User> {
        (token == "issued").then(|| User::new("ann", &[]))
    }
}

fn ask(certificate: Option<&User>, header: Option<&[u8]>) -> Result<String, u16> {
    let fixed = FixedTokens::new().unwrap().with("fixed", User::admin());
    let authenticator = Authenticator::new(fixed, Some(Arc::new(OneToken)));
    let mut headers = HeaderMap::new();
    if let Some(header) = header {
        headers.insert(AUTHORIZATION, HeaderValue::from_bytes(header).unwrap());
    }
    authenticator.user(certificate, &headers).map(|user| user.name).map_err(|status| status.code)
}

/// Client certificate, header, and who that is or the code of the refusal.
type Case<'a> = (Option<&'a User>, Option<&'a [u8]>, Result<&'a str, u16>);

#[test]
fn credentials_make_the_user() {
    let bob = User::new("bob", &[]);
    let table: [Case<'_>; 12] = [
        (None, None, Ok("system:anonymous")),
        (None, Some(b"Bearer fixed"), Ok("kubernetes-admin")),
        (None, Some(b"bearer  fixed "), Ok("kubernetes-admin")),
        (None, Some(b"Bearer issued"), Ok("ann")),
        (None, Some(b"Bearer wrong"), Err(401)),
        (None, Some(b"Bearer fixedissued"), Err(401)),
        (None, Some(b"Bearer \xff\xfe"), Err(401)),
        (None, Some(b"Bearer"), Ok("system:anonymous")),
        (None, Some(b"Bearer "), Ok("system:anonymous")),
        (None, Some(b"Basic Zml4ZWQ="), Ok("system:anonymous")),
        (Some(&bob), None, Ok("bob")),
        (Some(&bob), Some(b"Bearer wrong"), Ok("bob")),
    ];
    for (certificate, header, expected) in table {
        assert_eq!(ask(certificate, header), expected.map(str::to_owned), "{:?}", header.map(String::from_utf8_lossy));
    }
}

#[test]
fn strangers_are_not_among_the_authenticated() {
    let stranger = User::anonymous();
    assert!(stranger.is_in("system:unauthenticated") && !stranger.is_in("system:authenticated"));
}
