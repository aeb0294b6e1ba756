//! Ids that leave the cluster: they stand in host names (`<customer id>-<system name>.maint.<domain>`) and in store paths, so they never change
//! and hold nothing that either could misread (FLEET-1).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest id, so that `<customer id>-<system id>-255-255-255-255` stays below the 63 bytes of a DNS label.
pub const MAXIMUM_LENGTH: usize = 22;

/// Why a text is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseIdError {
    /// Empty text.
    #[error("an id must not be empty; use 1 to {MAXIMUM_LENGTH} lower case letters and digits")]
    Empty,
    /// Too long.
    #[error("the id has {0} characters; use at most {MAXIMUM_LENGTH}, because it becomes part of a host name")]
    TooLong(usize),
    /// A character that is neither a lower case letter nor a digit.
    #[error("the id has the character {0:?}; use lower case letters and digits only, because host names use `-` to separate")]
    Character(char),
}

fn check(text: &str) -> Result<(), ParseIdError> {
    if text.is_empty() {
        return Err(ParseIdError::Empty);
    }
    if let Some(bad) = text.chars().find(|c| !c.is_ascii_lowercase() && !c.is_ascii_digit()) {
        return Err(ParseIdError::Character(bad));
    }
    if text.len() > MAXIMUM_LENGTH { Err(ParseIdError::TooLong(text.len())) } else { Ok(()) }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                check(text).map(|()| Self(text.to_owned()))
            }
        }
        impl TryFrom<String> for $name {
            type Error = ParseIdError;
            fn try_from(text: String) -> Result<Self, ParseIdError> {
                check(&text).map(|()| Self(text))
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id! {
    /// A customer, everywhere outside the cluster.
    CustomerId
}
id! {
    /// A system of a customer, everywhere outside the cluster. Unique within its customer.
    SystemId
}

/// A system among all systems.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SystemKey {
    /// Whose system.
    pub customer: CustomerId,
    /// Which one.
    pub system: SystemId,
}

impl fmt::Display for SystemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.customer, self.system)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_id_is_lower_case_letters_and_digits_only() {
        assert_eq!("acme1".parse::<CustomerId>().unwrap().as_str(), "acme1");
        assert_eq!("".parse::<CustomerId>(), Err(ParseIdError::Empty));
        assert_eq!("a-b".parse::<CustomerId>(), Err(ParseIdError::Character('-')));
        assert_eq!("Acme".parse::<SystemId>(), Err(ParseIdError::Character('A')));
        assert_eq!("a".repeat(23).parse::<SystemId>(), Err(ParseIdError::TooLong(23)));
    }

    #[test]
    fn a_host_name_label_of_the_longest_ids_fits_dns() {
        let longest = "a".repeat(MAXIMUM_LENGTH);
        assert!(format!("{longest}-{longest}-255-255-255-255").len() <= 63);
    }

    #[test]
    fn a_bad_id_is_refused_when_read_from_json() {
        assert!(serde_json::from_str::<SystemKey>(r#"{"customer":"a/../b","system":"x"}"#).is_err());
    }
}
