//! `format`: the ones a Kubernetes API server checks. Unknown formats take anything.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use base64::Engine;
use regex::Regex;
use serde_json::Value;

use super::{Kind, Schema};

static EMAIL: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[^@\s<>]+@[^@\s<>]+$").ok());
static COLOR: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$").ok());
static RGB: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let part = r"\s*([0-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])\s*";
    Regex::new(&format!(r"^rgb\({part},{part},{part}\)$")).ok()
});
static LABEL: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$").ok());

/// Whether a string is of the format.
pub(super) fn fits(format: &str, text: &str) -> bool {
    match format {
        "date-time" | "datetime" => text.parse::<jiff::Timestamp>().is_ok() && text.contains(['T', 't']),
        "date" => text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok(),
        "duration" => duration(text),
        "byte" => base64::engine::general_purpose::STANDARD.decode(text).is_ok(),
        "uri" => text.parse::<http::Uri>().is_ok_and(|uri| uri.scheme().is_some() || text.starts_with('/')),
        "email" => matches(&EMAIL, text),
        "hostname" => !text.is_empty() && text.len() <= 255 && text.trim_end_matches('.').split('.').all(host_label),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => cidr(text),
        "mac" => mac(text),
        "uuid" => uuid::Uuid::parse_str(text).is_ok(),
        "uuid3" => uuid_version(text, 3),
        "uuid4" => uuid_version(text, 4),
        "uuid5" => uuid_version(text, 5),
        "hexcolor" => matches(&COLOR, text),
        "rgbcolor" => matches(&RGB, text),
        "bsonobjectid" => text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "k8s-short-name" => matches(&LABEL, text),
        "k8s-long-name" => text.len() <= 253 && text.split('.').all(|part| matches(&LABEL, part)),
        _ => true,
    }
}

/// Whether a number is within what its format can hold (`int32`, `int64`, `float`).
pub(super) fn number_fits(schema: &Schema, value: &Value) -> bool {
    match (schema.kind, schema.format.as_str()) {
        (Kind::Integer, "int32") => value.as_f64().is_none_or(|number| (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number)),
        (Kind::Integer, "" | "int64") => {
            value.as_i64().is_some() || value.as_f64().is_none_or(|number| number.abs() < 9.3e18 && !value.is_u64())
        }
        (Kind::Number, "float") => value.as_f64().is_none_or(|number| number.abs() <= f64::from(f32::MAX)),
        _ => true,
    }
}

fn matches(pattern: &LazyLock<Option<Regex>>, text: &str) -> bool {
    pattern.as_ref().is_none_or(|pattern| pattern.is_match(text))
}

fn host_label(label: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !label.is_empty() && label.len() <= 63 && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
}

fn uuid_version(text: &str, version: usize) -> bool {
    uuid::Uuid::parse_str(text).is_ok_and(|uuid| uuid.get_version_num() == version)
}

fn cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let Ok(bits) = bits.parse::<u8>() else { return false };
    match address.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(_)) => bits <= 32,
        Ok(std::net::IpAddr::V6(_)) => bits <= 128,
        Err(_) => false,
    }
}

fn mac(text: &str) -> bool {
    let separator = if text.contains(':') { ':' } else { '-' };
    let parts: Vec<&str> = text.split(separator).collect();
    matches!(parts.len(), 6 | 8 | 20) && parts.iter().all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Go durations (`1h30m`), and the long forms Kubernetes also takes (`2 days`).
fn duration(text: &str) -> bool {
    nanoseconds(text).is_some() || {
        let long = text.trim().split_once(char::is_whitespace).map(|(number, unit)| (number, unit.trim().trim_end_matches('s')));
        long.is_some_and(|(number, unit)| {
            number.parse::<u64>().is_ok() && matches!(unit, "nano" | "micro" | "milli" | "second" | "minute" | "hour" | "day" | "week")
        })
    }
}

/// A Go duration in nanoseconds.
pub(super) fn nanoseconds(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0.0_f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let unit_end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..unit_end] {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 6e10,
            "h" => 3.6e12,
            _ => return None,
        };
        total += number * unit;
        rest = &rest[unit_end..];
    }
    #[expect(clippy::cast_possible_truncation, reason = "bounded just before")]
    (total < 9.2e18).then(|| if negative { -(total as i64) } else { total as i64 })
}
