//! The JSONPath that printer columns are written in: `.a.b`, `['a']`, `[0]`, `[-1]`, `[0:2]`, `[*]`, `..a`, `[?(@.type=="Ready")]`.

use serde_json::Value;

/// One step of a path.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    Slice(Option<i64>, Option<i64>),
    All,
    Anywhere,
    Filter(Vec<Step>, Option<(Comparison, Value)>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    LessOrEqual,
    GreaterOrEqual,
    Less,
    Greater,
}

/// A parsed path.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Path(Vec<Step>);

impl Path {
    /// Parses a path; `None` where it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
        steps(text.strip_prefix('$').unwrap_or(text)).map(Self)
    }

    /// Everything the path leads to.
    pub fn find<'a>(&self, root: &'a Value) -> Vec<&'a Value> {
        walk(&self.0, root)
    }
}

fn steps(text: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("..") {
            steps.push(Step::Anywhere);
            rest = after;
            if rest.starts_with('[') {
                continue;
            }
            rest = field(rest, &mut steps)?;
        } else if let Some(after) = rest.strip_prefix('.') {
            if after.is_empty() || after.starts_with('[') {
                rest = after;
                continue;
            }
            rest = field(after, &mut steps)?;
        } else if rest.starts_with('[') {
            let end = closing(rest)?;
            steps.push(bracket(rest[1..end].trim())?);
            rest = &rest[end + 1..];
        } else {
            rest = field(rest, &mut steps)?;
        }
    }
    Some(steps)
}

/// Takes a field name off the front; `\.` is a dot inside a name.
fn field<'a>(text: &'a str, steps: &mut Vec<Step>) -> Option<&'a str> {
    let mut name = String::new();
    let mut characters = text.char_indices();
    let mut end = text.len();
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => name.extend(characters.next().map(|(_, c)| c)),
            '.' | '[' => {
                end = at;
                break;
            }
            c => name.push(c),
        }
    }
    if name.is_empty() {
        return None;
    }
    steps.push(if name == "*" { Step::All } else { Step::Field(name) });
    Some(&text[end..])
}

/// Where the bracket that opens `text` closes, quotes and nested brackets respected.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '[' | '(') => depth += 1,
            (None, ']' | ')') => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

fn bracket(inner: &str) -> Option<Step> {
    if inner == "*" {
        return Some(Step::All);
    }
    if let Some(name) = unquote(inner) {
        return Some(Step::Field(name.to_owned()));
    }
    if let Some(condition) = inner.strip_prefix("?(").and_then(|text| text.strip_suffix(')')) {
        return filter(condition.trim());
    }
    if let Some((from, to)) = inner.split_once(':') {
        let bound = |text: &str| if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) };
        return Some(Step::Slice(bound(from.trim())?, bound(to.trim())?));
    }
    inner.parse().ok().map(Step::Index)
}

fn unquote(text: &str) -> Option<&str> {
    ['\'', '"'].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
}

fn filter(condition: &str) -> Option<Step> {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    let signs = [("==", Equal), ("!=", NotEqual), ("<=", LessOrEqual), (">=", GreaterOrEqual), ("<", Less), (">", Greater), ("=", Equal)];
    let found = signs
        .into_iter()
        .filter_map(|(sign, comparison)| Some((condition.find(sign)?, sign, comparison)))
        .min_by_key(|(at, sign, _)| (*at, std::cmp::Reverse(sign.len())));
    let path = |text: &str| steps(text.trim().strip_prefix('@')?);
    let Some((at, sign, comparison)) = found else { return Some(Step::Filter(path(condition)?, None)) };
    let literal = condition[at + sign.len()..].trim();
    let literal = match unquote(literal) {
        Some(text) => Value::from(text),
        None => literal.parse().ok()?,
    };
    Some(Step::Filter(path(&condition[..at])?, Some((comparison, literal))))
}

fn walk<'a>(steps: &[Step], value: &'a Value) -> Vec<&'a Value> {
    let Some((step, rest)) = steps.split_first() else { return vec![value] };
    let next: Vec<&Value> = match step {
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::Index(index) => at(value, *index).into_iter().collect(),
        Step::Slice(from, to) => slice(value, *from, *to),
        Step::All => children(value),
        Step::Anywhere => descendants(value),
        Step::Filter(path, condition) => children(value).into_iter().filter(|child| holds(child, path, condition.as_ref())).collect(),
    };
    next.into_iter().flat_map(|found| walk(rest, found)).collect()
}

fn at(value: &Value, index: i64) -> Option<&Value> {
    let items = value.as_array()?;
    let index = if index < 0 { index + i64::try_from(items.len()).ok()? } else { index };
    items.get(usize::try_from(index).ok()?)
}

fn slice(value: &Value, from: Option<i64>, to: Option<i64>) -> Vec<&Value> {
    let Some(items) = value.as_array() else { return Vec::new() };
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let place = |bound: i64| usize::try_from(if bound < 0 { bound + length } else { bound.min(length) }).unwrap_or(0);
    let (from, to) = (place(from.unwrap_or(0)), place(to.unwrap_or(length)));
    items.get(from..to.max(from)).unwrap_or_default().iter().collect()
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(members) => members.values().collect(),
        _ => Vec::new(),
    }
}

fn descendants(value: &Value) -> Vec<&Value> {
    let mut all = vec![value];
    for child in children(value) {
        all.extend(descendants(child));
    }
    all
}

fn holds(value: &Value, path: &[Step], condition: Option<&(Comparison, Value)>) -> bool {
    let found = walk(path, value);
    let (Some(left), Some((comparison, right))) = (found.first(), condition) else { return condition.is_none() && !found.is_empty() };
    let order = match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64().partial_cmp(&right.as_f64()),
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (left, right) => (*left == right).then_some(std::cmp::Ordering::Equal),
    };
    match comparison {
        Comparison::Equal => order.is_some_and(std::cmp::Ordering::is_eq),
        Comparison::NotEqual => !order.is_some_and(std::cmp::Ordering::is_eq),
        Comparison::LessOrEqual => order.is_some_and(std::cmp::Ordering::is_le),
        Comparison::GreaterOrEqual => order.is_some_and(std::cmp::Ordering::is_ge),
        Comparison::Less => order.is_some_and(std::cmp::Ordering::is_lt),
        Comparison::Greater => order.is_some_and(std::cmp::Ordering::is_gt),
    }
}

/// A value as printed in a text column: strings bare, everything else as JSON.
pub(super) fn print(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    fn find(path: &str) -> Vec<Value> {
        let object = json!({
            "spec": {"a.b": 1, "ports": [{"name": "x", "port": 80}, {"name": "y", "port": 443}]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Old", "status": "False"}]}
        });
        Path::parse(path).unwrap().find(&object).into_iter().cloned().collect()
    }

    #[test]
    fn fields_indices_and_slices_are_found() {
        assert_eq!(find(".spec.ports[0].port"), [json!(80)]);
        assert_eq!(find(".spec.ports[-1].port"), [json!(443)]);
        assert_eq!(find("{.spec['a.b']}"), [json!(1)]);
        assert_eq!(find(r".spec.a\.b"), [json!(1)]);
        assert_eq!(find(".spec.ports[*].name"), [json!("x"), json!("y")]);
        assert_eq!(find(".spec.ports[0:1].name"), [json!("x")]);
        assert_eq!(find("..port"), [json!(80), json!(443)]);
        assert!(find(".spec.none").is_empty());
    }

    #[test]
    fn filters_choose_items() {
        assert_eq!(find(r#".status.conditions[?(@.type=="Ready")].status"#), [json!("True")]);
        assert_eq!(find(".status.conditions[?(@.type=='Old')].status"), [json!("False")]);
        assert_eq!(find(".spec.ports[?(@.port>100)].name"), [json!("y")]);
        assert_eq!(find(".spec.ports[?(@.port)].name").len(), 2);
        assert!(find(".spec.ports[?(@.none)].name").is_empty());
    }

    #[test]
    fn what_is_no_path_is_refused() {
        assert_eq!(Path::parse(".a[?(@.b==]"), None);
        assert_eq!(Path::parse(".a[x"), None);
    }
}
