//! Values that have several spellings, in the one a server stores.

use jiff::{Timestamp, Unit};
use serde_json::{Value, json};

use crate::schema::Schema;

/// Rewrites quantities and times below `value`. What is no quantity or time stays as it is, for validation to name it.
pub(super) fn normalise(schema: &Schema, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let Some(schema) = schema.field(name) {
                    normalise(schema, value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = &schema.items {
                items.iter_mut().for_each(|item| normalise(schema, item));
            }
        }
        Value::Number(number) if schema.format == "quantity" => *value = json!(quantity(&number.to_string())),
        Value::String(text) => match schema.format.as_str() {
            "quantity" => *text = quantity(text),
            "date-time" => replace_time(text, 0),
            "micro-time" => replace_time(text, 6),
            _ => {}
        },
        _ => {}
    }
}

fn replace_time(text: &mut String, digits: usize) {
    let unit = if digits == 0 { Unit::Second } else { Unit::Microsecond };
    let round = jiff::TimestampRound::new().smallest(unit).mode(jiff::RoundMode::Trunc);
    if let Some(time) = text.parse::<Timestamp>().ok().and_then(|time| time.round(round).ok()) {
        *text = format!("{time:.digits$}");
    }
}

/// A quantity in canonical form: no fraction, and the largest suffix that leaves a whole number (`0.5` is `500m`, `1024Mi` is
/// `1Gi`). A text that is no quantity is returned as it is.
fn quantity(text: &str) -> String {
    canonical(text).unwrap_or_else(|| text.to_owned())
}

const BINARY: &[&str] = &["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const DECIMAL: &[(&str, i32)] = &[("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

fn canonical(text: &str) -> Option<String> {
    let text = text.trim();
    let (sign, unsigned) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text),
    };
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || fraction.contains('.') {
        return None;
    }
    let mantissa: i128 = digits.parse().ok()?;
    let scale = i32::try_from(fraction.len()).ok()?;
    if mantissa == 0 {
        // Zero keeps its suffix's family only in name: it is always "0".
        return known_suffix(suffix).then(|| "0".to_owned());
    }
    match BINARY.iter().position(|known| *known == suffix && !suffix.is_empty()) {
        Some(power) => binary(sign, mantissa, scale, u32::try_from(power).ok()?),
        None => decimal(sign, mantissa, exponent(suffix)?.checked_sub(scale)?, is_exponent(suffix)),
    }
}

fn known_suffix(suffix: &str) -> bool {
    BINARY.contains(&suffix) || exponent(suffix).is_some()
}

fn is_exponent(suffix: &str) -> bool {
    suffix.len() > 1 && suffix.starts_with(['e', 'E'])
}

/// The power of ten that a decimal suffix (`k`) or exponent (`e3`) stands for.
fn exponent(suffix: &str) -> Option<i32> {
    if let Some((_, power)) = DECIMAL.iter().find(|(known, _)| *known == suffix) {
        return Some(*power);
    }
    suffix.strip_prefix(['e', 'E'])?.parse().ok().filter(|power: &i32| power.abs() <= 18)
}

fn binary(sign: &str, mantissa: i128, scale: i32, power: u32) -> Option<String> {
    let bytes = mantissa.checked_mul(1024_i128.checked_pow(power)?)?;
    let divisor = 10_i128.checked_pow(u32::try_from(scale).ok()?)?;
    if bytes % divisor != 0 {
        // Less than a byte is left over: only a decimal suffix can say it.
        return decimal(sign, bytes, -scale, false);
    }
    let mut value = bytes / divisor;
    let mut suffix = 0;
    while value % 1024 == 0 && suffix + 1 < BINARY.len() {
        value /= 1024;
        suffix += 1;
    }
    Some(format!("{sign}{value}{}", BINARY[suffix]))
}

fn decimal(sign: &str, mut mantissa: i128, mut power: i32, as_exponent: bool) -> Option<String> {
    while mantissa % 10 == 0 {
        mantissa /= 10;
        power += 1;
    }
    // Nothing is finer than a nano: what is left is rounded up.
    while power < -9 {
        mantissa = mantissa.checked_add(9)? / 10;
        power += 1;
    }
    while power % 3 != 0 || power > 18 {
        mantissa = mantissa.checked_mul(10)?;
        power -= 1;
    }
    if as_exponent {
        return Some(if power == 0 { format!("{sign}{mantissa}") } else { format!("{sign}{mantissa}e{power}") });
    }
    let (suffix, _) = DECIMAL.iter().find(|(_, known)| *known == power)?;
    Some(format!("{sign}{mantissa}{suffix}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_get_their_canonical_form() {
        let expected = [
            ("0.5", "500m"),
            ("1", "1"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("1000", "1k"),
            ("100Mi", "100Mi"),
            ("1e3", "1e3"),
            ("0", "0"),
            ("-0.5", "-500m"),
            ("12345", "12345"),
            ("0.0Gi", "0"),
        ];
        for (text, canonical) in expected {
            assert_eq!(quantity(text), canonical, "{text}");
        }
    }

    #[test]
    fn a_text_that_is_no_quantity_stays() {
        for text in ["", "lots", "1.2.3", "5 Gi", "1Xi"] {
            assert_eq!(quantity(text), text);
        }
    }

    #[test]
    fn times_lose_what_their_type_cannot_hold() {
        let mut time = "2026-01-01T01:00:00.123456789+01:00".to_owned();
        let mut micro = time.clone();
        replace_time(&mut time, 0);
        replace_time(&mut micro, 6);
        assert_eq!(time, "2026-01-01T00:00:00Z");
        assert_eq!(micro, "2026-01-01T00:00:00.123456Z");
    }
}
