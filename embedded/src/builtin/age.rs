//! How long ago something was, in the few letters that fit a table.

use jiff::Timestamp;
use serde_json::Value;

/// How long ago an RFC 3339 timestamp was, as Kubernetes prints ages: `5s`, `3m20s`, `7h`, `2d4h`, `1y30d`.
/// A text that is no timestamp, or none, gives `<unknown>`.
pub fn since(timestamp: Option<&str>) -> String {
    since_at(timestamp, Timestamp::now())
}

/// [`since`] with a clock of the caller's.
pub fn since_at(timestamp: Option<&str>, now: Timestamp) -> String {
    match timestamp.and_then(|text| text.parse::<Timestamp>().ok()) {
        Some(then) => human_duration(now.as_second() - then.as_second()),
        None => "<unknown>".to_owned(),
    }
}

/// The age of an object by its `metadata.creationTimestamp`.
pub fn of_object(object: &Value) -> String {
    since(object.pointer("/metadata/creationTimestamp").and_then(Value::as_str))
}

/// A number of seconds in at most two units, with less detail the longer it is. More than a second in the future is `<invalid>`.
pub fn human_duration(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1..0 => "0s".to_owned(),
        _ if seconds < 2 * MINUTE => format!("{seconds}s"),
        _ if seconds < 10 * MINUTE => two_units(seconds / MINUTE, "m", seconds % MINUTE, "s"),
        _ if seconds < 3 * HOUR => format!("{}m", seconds / MINUTE),
        _ if seconds < 8 * HOUR => two_units(seconds / HOUR, "h", seconds % HOUR / MINUTE, "m"),
        _ if seconds < 2 * DAY => format!("{}h", seconds / HOUR),
        _ if seconds < 8 * DAY => two_units(seconds / DAY, "d", seconds % DAY / HOUR, "h"),
        _ if seconds < 2 * YEAR => format!("{}d", seconds / DAY),
        _ if seconds < 8 * YEAR => two_units(seconds / YEAR, "y", seconds % YEAR / DAY, "d"),
        _ => format!("{}y", seconds / YEAR),
    }
}

fn two_units(large: i64, large_unit: &str, small: i64, small_unit: &str) -> String {
    if small == 0 { format!("{large}{large_unit}") } else { format!("{large}{large_unit}{small}{small_unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_lose_detail_as_they_grow() {
        let expected = [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (11_400, "3h10m"),
            (28_800, "8h"),
            (172_799, "47h"),
            (172_800, "2d"),
            (187_200, "2d4h"),
            (691_200, "8d"),
            (63_071_999, "729d"),
            (63_072_000, "2y"),
            (65_664_000, "2y30d"),
            (252_288_000, "8y"),
        ];
        for (seconds, text) in expected {
            assert_eq!(human_duration(seconds), text, "{seconds} seconds");
        }
    }

    #[test]
    fn an_age_without_a_timestamp_is_unknown() {
        assert_eq!(since(None), "<unknown>");
        assert_eq!(since(Some("yesterday")), "<unknown>");
    }

    #[test]
    fn an_age_counts_from_the_timestamp() {
        let now = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(100);
        assert_eq!(since_at(Some("1970-01-01T00:00:30Z"), now), "70s");
    }
}
