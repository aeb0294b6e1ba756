//! JSONPath as Kubernetes uses it: printer columns, selectable fields and the paths of `/scale`.
//!
//! Understood: `.a.b`, `['a.b']`, `\.` inside a name, `[0]`, `[-1]`, `[1:3]`, `[*]`, `.*`, `..a`, `[?(@.type=="Ready")]` with
//! `==`, `!=`, `<`, `<=`, `>`, `>=` or the mere presence of a path. A leading `$` and enclosing braces are allowed.

use std::cmp::Ordering;

use serde_json::Value;

/// A path, parsed once.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    Slice(Option<i64>, Option<i64>),
    All,
    /// This node and all below it.
    Descend,
    Filter(Filter),
}

#[derive(Debug, Clone, PartialEq)]
struct Filter {
    left: Operand,
    /// Without a comparison the left side only has to be there.
    comparison: Option<(Comparison, Operand)>,
}

#[derive(Debug, Clone, PartialEq)]
enum Operand {
    Path(Path),
    Literal(Value),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// The first value at `path`; `None` where there is none or the path cannot be parsed. Parse a [`Path`] once where it is used often.
pub fn first(path: &str, value: &Value) -> Option<Value> {
    Path::parse(path).ok()?.first(value).cloned()
}

impl Path {
    /// Parses a path.
    ///
    /// # Errors
    /// Says what cannot be understood and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let inner = text.trim();
        let inner = inner.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')).unwrap_or(inner);
        let inner = inner.strip_prefix(['$', '@']).unwrap_or(inner);
        let mut parser = Parser { text: inner, rest: inner };
        let mut steps = Vec::new();
        while !parser.rest.is_empty() {
            parser.step(&mut steps)?;
        }
        Ok(Self { steps })
    }

    /// All values at the path, in order.
    pub fn all<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        let mut found = vec![value];
        for step in &self.steps {
            found = found.into_iter().flat_map(|value| step.apply(value)).collect();
        }
        found
    }

    /// The first value at the path.
    pub fn first<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.all(value).into_iter().next()
    }

    /// The text of a printer column: strings bare, other values as JSON, several with blanks between. `None` where there is nothing.
    pub fn text(&self, value: &Value) -> Option<String> {
        let found = self.all(value);
        if found.is_empty() {
            return None;
        }
        let texts = found.into_iter().map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        Some(texts.collect::<Vec<_>>().join(" "))
    }

    /// The names of a path of plain fields (`.spec.replicas` is `["spec", "replicas"]`), for writing through it.
    pub fn fields(&self) -> Option<Vec<&str>> {
        self.steps.iter().map(|step| if let Step::Field(name) = step { Some(name.as_str()) } else { None }).collect()
    }
}

impl Step {
    fn apply<'v>(&self, value: &'v Value) -> Vec<&'v Value> {
        match (self, value) {
            (Self::Field(name), Value::Object(object)) => object.get(name).into_iter().collect(),
            (Self::Index(index), Value::Array(items)) => {
                position(*index, items.len()).and_then(|index| items.get(index)).into_iter().collect()
            }
            (Self::Slice(from, to), Value::Array(items)) => {
                let from = from.map_or(Some(0), |from| position(from, items.len())).unwrap_or(items.len());
                let to = to.map_or(Some(items.len()), |to| position(to, items.len())).unwrap_or(0).min(items.len());
                items.get(from..to).into_iter().flatten().collect()
            }
            (Self::All, Value::Array(items)) => items.iter().collect(),
            (Self::All, Value::Object(object)) => object.values().collect(),
            (Self::Filter(filter), Value::Array(items)) => items.iter().filter(|item| filter.takes(item)).collect(),
            (Self::Descend, _) => {
                let mut found = Vec::new();
                descend(value, &mut found);
                found
            }
            _ => Vec::new(),
        }
    }
}

/// A negative index counts from the end.
fn position(index: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    usize::try_from(if index < 0 { index + length } else { index }).ok()
}

fn descend<'v>(value: &'v Value, found: &mut Vec<&'v Value>) {
    found.push(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| descend(item, found)),
        Value::Object(object) => object.values().for_each(|value| descend(value, found)),
        _ => {}
    }
}

impl Filter {
    fn takes(&self, item: &Value) -> bool {
        let Some(left) = self.left.value(item) else { return false };
        let Some((comparison, right)) = &self.comparison else { return true };
        let Some(right) = right.value(item) else { return false };
        let order = match (left, right) {
            (Value::Number(left), Value::Number(right)) => left.as_f64().partial_cmp(&right.as_f64()),
            (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
            (left, right) => (left == right).then_some(Ordering::Equal),
        };
        match comparison {
            Comparison::Equal => order == Some(Ordering::Equal),
            Comparison::NotEqual => order != Some(Ordering::Equal),
            Comparison::Less => order == Some(Ordering::Less),
            Comparison::LessEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Comparison::Greater => order == Some(Ordering::Greater),
            Comparison::GreaterEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        }
    }
}

impl Operand {
    fn value<'v>(&'v self, item: &'v Value) -> Option<&'v Value> {
        match self {
            Self::Path(path) => path.first(item),
            Self::Literal(value) => Some(value),
        }
    }
}

struct Parser<'t> {
    text: &'t str,
    rest: &'t str,
}

impl Parser<'_> {
    fn step(&mut self, steps: &mut Vec<Step>) -> Result<(), String> {
        if let Some(rest) = self.rest.strip_prefix("..") {
            steps.push(Step::Descend);
            self.rest = rest;
            if !rest.starts_with('[') {
                steps.push(self.name()?);
            }
            return Ok(());
        }
        if let Some(rest) = self.rest.strip_prefix('.') {
            self.rest = rest;
            // A lone dot is the value itself; a dot before a bracket says nothing.
            if rest.is_empty() || rest.starts_with('[') {
                return Ok(());
            }
            steps.push(self.name()?);
            return Ok(());
        }
        if let Some(rest) = self.rest.strip_prefix('[') {
            self.rest = rest;
            steps.push(self.bracket()?);
            return Ok(());
        }
        // A path may begin with a name right away.
        if steps.is_empty() {
            steps.push(self.name()?);
            return Ok(());
        }
        Err(self.error("a '.' or a '['"))
    }

    fn name(&mut self) -> Result<Step, String> {
        let mut name = String::new();
        let mut characters = self.rest.char_indices();
        let mut end = self.rest.len();
        while let Some((index, character)) = characters.next() {
            match character {
                '\\' => name.extend(characters.next().map(|(_, escaped)| escaped)),
                '.' | '[' => {
                    end = index;
                    break;
                }
                other => name.push(other),
            }
        }
        if name.is_empty() {
            return Err(self.error("a field name"));
        }
        self.rest = &self.rest[end..];
        Ok(if name == "*" { Step::All } else { Step::Field(name) })
    }

    fn bracket(&mut self) -> Result<Step, String> {
        if let Some(rest) = self.rest.strip_prefix("?(") {
            let end = filter_end(rest).ok_or_else(|| self.error("')]' at the end of the filter"))?;
            let filter = self.filter(&rest[..end])?;
            self.rest = &rest[end + 2..];
            return Ok(Step::Filter(filter));
        }
        if let Some(quote) = self.rest.chars().next().filter(|c| matches!(c, '\'' | '"')) {
            let (name, length) = quoted(&self.rest[1..], quote).ok_or_else(|| self.error("a closing quote"))?;
            let after = &self.rest[1 + length..];
            self.rest = after.strip_prefix(']').ok_or_else(|| self.error("a ']' after the quoted name"))?;
            return Ok(Step::Field(name));
        }
        let (inner, rest) = self.rest.split_once(']').ok_or_else(|| self.error("a closing ']'"))?;
        let inner = inner.trim();
        let number = |text: &str| -> Result<Option<i64>, String> {
            if text.is_empty() {
                Ok(None)
            } else {
                text.trim().parse().map(Some).map_err(|_| self.error("a number, '*', a quoted name or a filter"))
            }
        };
        let step = if inner == "*" {
            Step::All
        } else if let Some((from, to)) = inner.split_once(':') {
            Step::Slice(number(from)?, number(to)?)
        } else {
            Step::Index(number(inner)?.ok_or_else(|| self.error("an index"))?)
        };
        self.rest = rest;
        Ok(step)
    }

    fn filter(&self, text: &str) -> Result<Filter, String> {
        let operators = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessEqual),
            (">=", Comparison::GreaterEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        let found = operators.iter().filter_map(|(sign, comparison)| Some((outside_quotes(text, sign)?, sign, comparison)));
        let Some((at, sign, comparison)) = found.min_by_key(|(at, sign, _)| (*at, usize::MAX - sign.len())) else {
            return Ok(Filter { left: self.operand(text)?, comparison: None });
        };
        let (left, right) = (&text[..at], &text[at + sign.len()..]);
        Ok(Filter { left: self.operand(left)?, comparison: Some((*comparison, self.operand(right)?)) })
    }

    fn operand(&self, text: &str) -> Result<Operand, String> {
        let text = text.trim();
        if text.starts_with('@') || text.starts_with('$') {
            return Ok(Operand::Path(Path::parse(text)?));
        }
        if let Some(quote) = text.chars().next().filter(|c| matches!(c, '\'' | '"')) {
            let (literal, length) = quoted(&text[1..], quote).ok_or_else(|| self.error("a closing quote"))?;
            if length + 1 == text.len() {
                return Ok(Operand::Literal(Value::String(literal)));
            }
        }
        serde_json::from_str(text).map(Operand::Literal).map_err(|_| self.error("'@' with a path, a quoted text or a number in the filter"))
    }

    fn error(&self, wanted: &str) -> String {
        let at = self.text.len() - self.rest.len();
        format!("the path \"{}\" needs {wanted} at position {at}", self.text)
    }
}

/// A quoted text without its opening quote: its content, and where it ends.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut content = String::new();
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '\\' => content.extend(characters.next().map(|(_, escaped)| escaped)),
            end if end == quote => return Some((content, index + 1)),
            other => content.push(other),
        }
    }
    None
}

/// Where `sign` stands first outside quotes.
fn outside_quotes(text: &str, sign: &str) -> Option<usize> {
    let mut inside = None;
    for (index, character) in text.char_indices() {
        match inside {
            Some(quote) if quote == character => inside = None,
            None if matches!(character, '\'' | '"') => inside = Some(character),
            None if text[index..].starts_with(sign) => return Some(index),
            _ => {}
        }
    }
    None
}

/// Where the `)]` that ends a filter stands.
fn filter_end(text: &str) -> Option<usize> {
    outside_quotes(text, ")]")
}
