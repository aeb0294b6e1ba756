//! One step of a path to a field.

use std::cmp::Ordering;
use std::fmt;

use serde_json::Value;

/// One step of a field path: into a map, or to an item of a list.
#[derive(Debug, Clone)]
pub enum PathElement {
    /// A member of an object (`f:name`).
    Field(Box<str>),
    /// An item of an associative list, by its keys in the order of their names (`k:{"name":"x"}`).
    Key(Box<[(Box<str>, Value)]>),
    /// An item of a set, by its value (`v:"x"`).
    Value(Value),
    /// An item of a list by position (`i:0`).
    Index(i64),
}

impl PathElement {
    /// A member of an object.
    pub fn field(name: &str) -> Self {
        Self::Field(name.into())
    }

    /// An item of an associative list. The order of the keys given does not matter.
    pub fn key(mut keys: Vec<(Box<str>, Value)>) -> Self {
        keys.sort_by(|a, b| a.0.cmp(&b.0));
        Self::Key(keys.into())
    }

    /// The text that names this step in `fieldsV1`.
    pub fn to_text(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(keys) => {
                let mut text = String::from("k:{");
                for (position, (name, value)) in keys.iter().enumerate() {
                    if position > 0 {
                        text.push(',');
                    }
                    text.push_str(&json_text(&Value::String(name.to_string())));
                    text.push(':');
                    text.push_str(&json_text(value));
                }
                text.push('}');
                text
            }
            Self::Value(value) => format!("v:{}", json_text(value)),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    /// Reads what [`PathElement::to_text`] writes. `Ok(None)` is a kind of step this version does not know, which readers skip.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        let Some((kind, content)) = text.split_at_checked(2).filter(|(kind, _)| kind.ends_with(':')) else {
            return Err(format!("missing colon: {text}"));
        };
        let json = || serde_json::from_str::<Value>(content).map_err(|error| format!("{text}: {error}"));
        Ok(Some(match kind {
            "f:" => Self::field(content),
            "v:" => Self::Value(json()?),
            "k:" => match json()? {
                Value::Object(keys) => Self::key(keys.into_iter().map(|(name, value)| (name.into(), value)).collect()),
                _ => return Err(format!("{text}: the keys of a list item must be an object")),
            },
            "i:" => Self::Index(content.parse().map_err(|error| format!("{text}: {error}"))?),
            _ => return Ok(None),
        }))
    }
}

/// JSON as Go writes it: with `<`, `>` and `&` escaped, so that texts compare equal to a real server's.
fn json_text(value: &Value) -> String {
    let text = value.to_string();
    if text.contains(['<', '>', '&']) { text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026") } else { text }
}

/// `.name`, `[key="x"]`, `[="x"]` or `[0]`: how error messages write a path.
impl fmt::Display for PathElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(keys) => {
                f.write_str("[")?;
                for (position, (name, value)) in keys.iter().enumerate() {
                    write!(f, "{}{name}={value}", if position > 0 { "," } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Value(value) => write!(f, "[={value}]"),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

impl Ord for PathElement {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Field(a), Self::Field(b)) => a.cmp(b),
            (Self::Key(a), Self::Key(b)) => {
                let pairs = a.iter().zip(b.iter()).map(|((a, x), (b, y))| a.cmp(b).then_with(|| compare_values(x, y)));
                pairs.fold(Ordering::Equal, Ordering::then).then_with(|| a.len().cmp(&b.len()))
            }
            (Self::Value(a), Self::Value(b)) => compare_values(a, b),
            (Self::Index(a), Self::Index(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PathElement {
    fn rank(&self) -> u8 {
        match self {
            Self::Field(_) => 0,
            Self::Key(_) => 1,
            Self::Value(_) => 2,
            Self::Index(_) => 3,
        }
    }
}

impl PartialOrd for PathElement {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for PathElement {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for PathElement {}

/// Whether two values mean the same: numbers compare by what they are worth, so `1` is `1.0`.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(_), Value::Number(_)) => compare_values(a, b) == Ordering::Equal,
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((name, a), (other, b))| name == other && same(a, b))
        }
        _ => a == b,
    }
}

/// A total order: numbers, strings, booleans, lists, maps, null.
fn compare_values(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => match (x.as_i64(), y.as_i64()) {
            (Some(x), Some(y)) => x.cmp(&y),
            _ => x.as_f64().unwrap_or_default().total_cmp(&y.as_f64().unwrap_or_default()),
        },
        (Value::String(x), Value::String(y)) => x.cmp(y),
        (Value::Bool(x), Value::Bool(y)) => x.cmp(y),
        (Value::Array(x), Value::Array(y)) => {
            x.iter().zip(y).map(|(x, y)| compare_values(x, y)).fold(Ordering::Equal, Ordering::then).then_with(|| x.len().cmp(&y.len()))
        }
        (Value::Object(x), Value::Object(y)) => {
            let pairs = x.iter().zip(y).map(|((name, x), (other, y))| name.cmp(other).then_with(|| compare_values(x, y)));
            pairs.fold(Ordering::Equal, Ordering::then).then_with(|| x.len().cmp(&y.len()))
        }
        _ => rank(a).cmp(&rank(b)),
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    }
}
