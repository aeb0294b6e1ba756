//! A string that never prints itself.

use std::fmt;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

/// A password, an enrolment code, a token. `Debug` and `Display` show stars, so that no log line can carry it by accident.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself. The name is long so that each use is seen in review.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `candidate` is the value, in time that does not depend on where they differ.
    pub fn matches(&self, candidate: &Secret) -> bool {
        self.0.as_bytes().ct_eq(candidate.0.as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_secret_shows_stars() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert_eq!(secret.expose(), "hunter2");
        assert!(secret.matches(&Secret::new("hunter2")) && !secret.matches(&Secret::new("hunter3")) && !secret.matches(&Secret::new("")));
    }
}
