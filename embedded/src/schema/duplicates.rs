//! Duplicate keys in JSON text: lost in a parsed [`serde_json::Value`], so found while reading.

use std::collections::HashSet;
use std::fmt::Formatter;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The paths of object members that a JSON text names twice, such as `spec.replicas`; each once. Empty for text that is not JSON.
///
/// For the message of a strict server write each as `duplicate field "<path>"`, before the unknown fields.
pub fn duplicate_keys(text: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let mut path = String::new();
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    // Text that is not JSON is reported by whoever parses it for real.
    _ = Scan { path: &mut path, found: &mut found }.deserialize(&mut deserializer);
    found
}

struct Scan<'a> {
    path: &'a mut String,
    found: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Scan<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scan<'_> {
    type Value = ();

    fn expecting(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let length = self.path.len();
        for index in 0.. {
            self.path.push_str(&format!("[{index}]"));
            let more = items.next_element_seed(Scan { path: self.path, found: self.found })?;
            self.path.truncate(length);
            if more.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let length = self.path.len();
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            if length > 0 {
                self.path.push('.');
            }
            self.path.push_str(&name);
            if names.insert(name) {
                members.next_value_seed(Scan { path: self.path, found: self.found })?;
            } else {
                if !self.found.contains(self.path) {
                    self.found.push(self.path.clone());
                }
                members.next_value::<IgnoredAny>()?;
            }
            self.path.truncate(length);
        }
        Ok(())
    }
}
