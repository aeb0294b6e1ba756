//! What a schema says about ownership: which values are owned as a whole, and how the items of a list are told apart.

use serde_json::{Map, Value};

use super::element::PathElement;
use crate::schema::{Kind, ListKind, MapKind, Schema};

/// What is known about a place in an object.
#[derive(Clone, Copy)]
pub(super) enum Shape<'a> {
    /// What the schema says.
    Known(&'a Schema),
    /// No schema: maps are granular, lists are owned as a whole.
    Free,
}

/// How a value is owned.
pub(super) enum Form<'v> {
    /// As a whole: scalars, null, atomic maps and lists.
    Leaf,
    /// Field by field.
    Map(&'v Map<String, Value>),
    /// Item by item.
    List(&'v [Value]),
}

/// A member of a map.
pub(super) struct Member<'a> {
    pub(super) shape: Shape<'a>,
    /// Named in the schema, as a field of a structure; else an entry of a map.
    pub(super) declared: bool,
    /// Whether the schema allows it at all.
    pub(super) allowed: bool,
}

impl<'a> Shape<'a> {
    pub(super) fn form(self, value: &Value) -> Form<'_> {
        match value {
            Value::Object(map) if self.is_granular_map() => Form::Map(map),
            Value::Array(items) if self.is_granular_list() => Form::List(items),
            _ => Form::Leaf,
        }
    }

    pub(super) fn is_granular_map(self) -> bool {
        match self {
            Self::Known(schema) => matches!(schema.kind, Kind::Object | Kind::Any) && schema.map == MapKind::Granular,
            Self::Free => true,
        }
    }

    pub(super) fn is_granular_list(self) -> bool {
        matches!(self, Self::Known(schema) if matches!(schema.kind, Kind::Array | Kind::Any) && schema.list != ListKind::Atomic)
    }

    pub(super) fn member(self, name: &str) -> Member<'a> {
        let Self::Known(schema) = self else { return Member { shape: Self::Free, declared: false, allowed: true } };
        if let Some(field) = schema.properties.get(name) {
            return Member { shape: Self::Known(field), declared: true, allowed: true };
        }
        if let Some(entry) = &schema.additional {
            return Member { shape: Self::Known(entry), declared: false, allowed: true };
        }
        // An object that names no fields at all says nothing about them.
        let open = schema.preserve_unknown || schema.kind == Kind::Any || schema.properties.is_empty();
        Member { shape: Self::Free, declared: false, allowed: open }
    }

    pub(super) fn item(self) -> Self {
        match self {
            Self::Known(schema) => schema.items.as_deref().map_or(Self::Free, Self::Known),
            Self::Free => Self::Free,
        }
    }

    /// The shape one step further.
    pub(super) fn step(self, element: &PathElement) -> Self {
        match element {
            PathElement::Field(name) => self.member(name).shape,
            PathElement::Key(_) | PathElement::Value(_) | PathElement::Index(_) => self.item(),
        }
    }

    /// What identifies an item of a granular list.
    ///
    /// # Errors
    /// Why the item cannot be identified, in the words of a real server.
    pub(super) fn key(self, item: &Value) -> Result<PathElement, String> {
        let Self::Known(schema) = self else { return Err("invalid indexing of non-associative list".to_owned()) };
        match &schema.list {
            ListKind::Atomic => Err("invalid indexing of non-associative list".to_owned()),
            ListKind::Set => match item {
                Value::Object(_) => Err("associative list without keys has an element that's a map type".to_owned()),
                Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
                Value::Null => Err("associative list without keys has an element that's an explicit null".to_owned()),
                _ => Ok(PathElement::Value(item.clone())),
            },
            ListKind::Map(keys) => self.map_key(keys, item),
        }
    }

    fn map_key(self, keys: &[String], item: &Value) -> Result<PathElement, String> {
        let fields = match item {
            Value::Object(fields) => fields,
            Value::Null => return Err("associative list with keys may not have a null element".to_owned()),
            _ => return Err("associative list with keys may not have non-map elements".to_owned()),
        };
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            // A key that is absent and has no default is left out: that is another item than one which has it.
            let value = fields.get(key).or_else(|| match self.item().member(key).shape {
                Self::Known(field) => field.default.as_ref(),
                Self::Free => None,
            });
            if let Some(value) = value {
                found.push((key.as_str().into(), value.clone()));
            }
        }
        if found.is_empty() {
            let names: Vec<String> = keys.iter().map(|key| format!("\"{key}\"")).collect();
            return Err(format!(
                "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
                names.join(" ")
            ));
        }
        Ok(PathElement::key(found))
    }

    /// What identifies an item of an object that is already stored: by position where the rules fail.
    pub(super) fn stored_key(self, position: usize, item: &Value) -> PathElement {
        self.key(item).unwrap_or_else(|_| PathElement::Index(i64::try_from(position).unwrap_or(i64::MAX)))
    }
}
