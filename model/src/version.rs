//! Software versions of IP Office: up to six numbers with dots, such as `11.1.3.2.0`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A version. Missing trailing parts count as zero, so `11.1` equals `11.1.0.0.0`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SoftwareVersion {
    text: String,
    parts: Vec<u32>,
}

/// Systems below this are `Legacy`: watched, but no other remote service (FLEET-2).
pub const FIRST_SUPPORTED: [u32; 5] = [11, 1, 1, 0, 0];

/// Why a text is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no software version; write two to six numbers separated by dots, like 11.1.3.2.0")]
pub struct ParseVersionError(String);

impl SoftwareVersion {
    /// Whether the system is older than 11.1 FP1.
    pub fn is_legacy(&self) -> bool {
        compare(&self.parts, &FIRST_SUPPORTED) == Ordering::Less
    }
    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn compare(left: &[u32], right: &[u32]) -> Ordering {
    let part = |list: &[u32], at: usize| list.get(at).copied().unwrap_or(0);
    (0..left.len().max(right.len())).map(|at| part(left, at).cmp(&part(right, at))).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

impl FromStr for SoftwareVersion {
    type Err = ParseVersionError;
    fn from_str(text: &str) -> Result<Self, ParseVersionError> {
        let bad = || ParseVersionError(text.chars().take(40).collect());
        let parts: Vec<u32> = text
            .split('.')
            .map(
                |part| {
                    if part.len() <= 6 && part.bytes().all(|b| b.is_ascii_digit()) { part.parse().map_err(|_| bad()) } else { Err(bad()) }
                },
            )
            .collect::<Result<_, _>>()?;
        if (2..=6).contains(&parts.len()) { Ok(Self { text: text.to_owned(), parts }) } else { Err(bad()) }
    }
}
impl TryFrom<String> for SoftwareVersion {
    type Error = ParseVersionError;
    fn try_from(text: String) -> Result<Self, ParseVersionError> {
        text.parse()
    }
}
impl From<SoftwareVersion> for String {
    fn from(version: SoftwareVersion) -> String {
        version.text
    }
}
impl PartialEq for SoftwareVersion {
    fn eq(&self, other: &Self) -> bool {
        compare(&self.parts, &other.parts).is_eq()
    }
}
impl Eq for SoftwareVersion {}
impl PartialOrd for SoftwareVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for SoftwareVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.parts, &other.parts)
    }
}
impl fmt::Display for SoftwareVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
impl fmt::Debug for SoftwareVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn version(text: &str) -> SoftwareVersion {
        text.parse().unwrap()
    }

    #[test]
    fn versions_compare_by_number_not_by_letter() {
        assert!(version("11.1.10") > version("11.1.9"));
        assert_eq!(version("11.1"), version("11.1.0.0.0"));
        assert!(version("12.0") > version("11.1.3.2.0"));
    }

    #[test]
    fn legacy_ends_at_11_1_feature_pack_1() {
        assert!(version("11.1.0.9.9").is_legacy());
        assert!(version("11.0.4.8").is_legacy());
        assert!(!version("11.1.1.0.0").is_legacy());
        assert!(!version("11.1.1").is_legacy());
    }

    #[test]
    fn what_is_no_version_is_refused_with_an_example() {
        for bad in ["", "11", "11.x", "1.2.3.4.5.6.7", "11..1", "99999999.1", "-1.2"] {
            assert!(bad.parse::<SoftwareVersion>().unwrap_err().to_string().contains("11.1.3.2.0"), "{bad}");
        }
    }
}
