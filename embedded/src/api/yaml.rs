//! YAML bodies, without the aliases that make gigabytes of a few lines.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// The tree in a YAML text.
///
/// What comes out may have twice as many values and bytes as the text: that is more than any text without aliases yields. With aliases
/// of aliases, a few lines would otherwise fill the memory.
pub(super) fn parse(text: &[u8]) -> Result<Value, String> {
    let left = Cell::new(text.len().saturating_mul(2).saturating_add(64));
    Tree { left: &left }.deserialize(serde_yaml::Deserializer::from_slice(text)).map_err(|cause| cause.to_string())
}

/// Builds a value and pays for each part of it.
#[derive(Clone, Copy)]
struct Tree<'a> {
    /// Values and bytes that may still come.
    left: &'a Cell<usize>,
}

impl Tree<'_> {
    fn pay<E: Error>(self, cost: usize) -> Result<(), E> {
        let left = self.left.get().checked_sub(cost);
        self.left.set(left.unwrap_or_default());
        left.map(drop).ok_or_else(|| E::custom("its aliases repeat more than the text is long; write it without aliases (*name)"))
    }

    fn scalar<E: Error>(self, value: impl Into<Value>) -> Result<Value, E> {
        self.pay(1).map(|()| value.into())
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value that JSON has too")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.scalar(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.scalar(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.scalar(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        self.scalar(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.pay(value.len())?;
        self.scalar(value)
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.scalar(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Value, A::Error> {
        self.pay(1)?;
        let mut items = Vec::new();
        while let Some(item) = parts.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut parts: A) -> Result<Value, A::Error> {
        self.pay(1)?;
        let mut members = Map::new();
        while let Some(key) = parts.next_key::<String>()? {
            self.pay(key.len())?;
            members.insert(key, parts.next_value_seed(self)?);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests;
