//! Label and field selectors.

use serde_json::Value;

use crate::resource::Resource;
use crate::status::Status;
use crate::store::Object;

/// What a label must be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
    Greater(String, i64),
    Less(String, i64),
}

/// A label selector: all requirements must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LabelSelector(Vec<Requirement>);

/// A word of a label selector.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Sign(&'static str),
    End,
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::Word(word) => word,
            Self::Sign(sign) => sign,
            Self::End => "",
        }
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn new(text: &str) -> Self {
        let mut tokens = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if first.is_whitespace() {
                rest = &rest[first.len_utf8()..];
                continue;
            }
            if let Some(sign) = ["==", "!=", "=", "!", "(", ")", ",", ">", "<"].into_iter().find(|sign| rest.starts_with(sign)) {
                tokens.push(Token::Sign(sign));
                rest = &rest[sign.len()..];
                continue;
            }
            let end = rest.find(|c: char| c.is_whitespace() || "=!(),><".contains(c)).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        }
        Self { tokens, at: 0 }
    }

    fn peek(&self) -> &Token {
        self.tokens.get(self.at).unwrap_or(&Token::End)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let absent = self.peek() == &Token::Sign("!");
        if absent {
            self.next();
        }
        let key = match self.next() {
            Token::Word(key) => key,
            other => return Err(format!("found '{}', expected: identifier", other.text())),
        };
        check_key(&key)?;
        if absent {
            return Ok(Requirement::Absent(key));
        }
        match self.peek().clone() {
            Token::End | Token::Sign(",") => Ok(Requirement::Exists(key)),
            Token::Sign("=" | "==") => {
                self.next();
                Ok(Requirement::In(key, vec![self.single()?]))
            }
            Token::Sign("!=") => {
                self.next();
                Ok(Requirement::NotIn(key, vec![self.single()?]))
            }
            Token::Sign(sign @ (">" | "<")) => {
                self.next();
                let value = self.single()?;
                let number = value.parse().map_err(|_| {
                    format!("values[0][{key}]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the value must be an integer")
                })?;
                Ok(if sign == ">" { Requirement::Greater(key, number) } else { Requirement::Less(key, number) })
            }
            Token::Word(word) if word == "in" || word == "notin" => {
                self.next();
                let values = self.values()?;
                Ok(if word == "in" { Requirement::In(key, values) } else { Requirement::NotIn(key, values) })
            }
            other => Err(format!("found '{}', expected: in, notin, =, ==, !=, gt, lt", other.text())),
        }
    }

    fn single(&mut self) -> Result<String, String> {
        match self.peek().clone() {
            Token::End | Token::Sign(",") => Ok(String::new()),
            Token::Word(word) => {
                self.next();
                check_value(&word)?;
                Ok(word)
            }
            Token::Sign(sign) => Err(format!("found '{sign}', expected: identifier")),
        }
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        match self.next() {
            Token::Sign("(") => {}
            other => return Err(format!("found '{}' expected: '('", other.text())),
        }
        let mut values = Vec::new();
        loop {
            match self.next() {
                Token::Word(word) => {
                    check_value(&word)?;
                    values.push(word);
                }
                Token::Sign(",") => {
                    values.push(String::new());
                    continue;
                }
                Token::Sign(")") => {
                    values.push(String::new());
                    return Ok(values);
                }
                other => return Err(format!("found '{}', expected: ',', ')' or identifier", other.text())),
            }
            match self.next() {
                Token::Sign(",") => {}
                Token::Sign(")") => return Ok(values),
                other => return Err(format!("found '{}', expected: ',' or ')'", other.text())),
            }
        }
    }
}

fn check_key(key: &str) -> Result<(), String> {
    let (prefix, name) = key.rsplit_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let word = |text: &str| !text.is_empty() && text.len() <= 63 && is_qualified(text);
    if word(name) && prefix.is_none_or(|prefix| !prefix.is_empty() && prefix.len() <= 253 && !prefix.contains('/')) {
        return Ok(());
    }
    Err(format!(
        "key: Invalid value: {key:?}: name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
    ))
}

fn check_value(value: &str) -> Result<(), String> {
    if value.is_empty() || (value.len() <= 63 && is_qualified(value)) {
        return Ok(());
    }
    if value.len() > 63 {
        return Err(format!("values[0]: Invalid value: {value:?}: must be no more than 63 bytes"));
    }
    Err(format!(
        "values[0]: Invalid value: {value:?}: a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
    ))
}

/// Letters and digits at both ends, `-`, `_` and `.` between.
fn is_qualified(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    ends(text.chars().next()) && ends(text.chars().next_back()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

impl LabelSelector {
    pub fn parse(text: &str) -> Result<Self, Status> {
        let mut parser = Parser::new(text);
        let mut requirements = Vec::new();
        while parser.peek() != &Token::End {
            let requirement = parser.requirement().map_err(|why| Status::bad_request(format!("unable to parse requirement: {why}")))?;
            requirements.push(requirement);
            match parser.next() {
                Token::End => break,
                Token::Sign(",") if parser.peek() != &Token::End => {}
                Token::Sign(",") => return Err(Status::bad_request("found '', expected: identifier after ','")),
                other => return Err(Status::bad_request(format!("found '{}', expected: ',' or 'end of string'", other.text()))),
            }
        }
        Ok(Self(requirements))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether labels, found through `label`, meet all requirements.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.0.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => label(key).is_some_and(|value| values.iter().any(|v| v == value)),
            Requirement::NotIn(key, values) => label(key).is_none_or(|value| values.iter().all(|v| v != value)),
            Requirement::Exists(key) => label(key).is_some(),
            Requirement::Absent(key) => label(key).is_none(),
            Requirement::Greater(key, bound) => number(label(key)).is_some_and(|value| value > *bound),
            Requirement::Less(key, bound) => number(label(key)).is_some_and(|value| value < *bound),
        })
    }
}

fn number(label: Option<&str>) -> Option<i64> {
    label?.parse().ok()
}

/// A field selector: all terms must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FieldSelector(Vec<Term>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    field: String,
    value: String,
    equal: bool,
}

impl FieldSelector {
    pub fn parse(text: &str, resource: &Resource) -> Result<Self, Status> {
        let mut terms = Vec::new();
        for part in split(text) {
            let operator = ["!=", "==", "="]
                .into_iter()
                .filter_map(|sign| Some((part.find(sign)?, sign)))
                .min_by_key(|(at, sign)| (*at, std::cmp::Reverse(sign.len())));
            let Some((at, sign)) = operator else {
                return Err(Status::bad_request(format!("invalid selector: '{text}'; can't understand '{part}'")));
            };
            let field = part[..at].trim().to_owned();
            let known = ["metadata.name", "metadata.namespace"].contains(&field.as_str());
            let selectable = resource.selectable.iter().any(|path| path.trim_start_matches('.') == field);
            // No cluster-scoped kind has a namespace to select by, yet clients ask for it and get no match, not an error.
            if !known && !selectable {
                return Err(Status::bad_request(format!("field label not supported: {field}")));
            }
            terms.push(Term { field, value: unescape(&part[at + sign.len()..]), equal: sign != "!=" });
        }
        Ok(Self(terms))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one value a field must have.
    pub fn exactly(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|term| term.equal && term.field == field).map(|term| term.value.as_str())
    }

    /// Whether an object meets all terms. `value` is called only when a field inside the object is asked for.
    fn matches(&self, object: &Object, value: impl Fn() -> Value) -> bool {
        let mut parsed: Option<Value> = None;
        self.0.iter().all(|term| {
            let same = match term.field.as_str() {
                "metadata.name" => object.key.name == term.value,
                "metadata.namespace" => object.key.namespace == term.value,
                field => text_at(parsed.get_or_insert_with(&value), field) == term.value,
            };
            same == term.equal
        })
    }
}

/// Splits at commas that are not escaped.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        out.extend(if c == '\\' { characters.next() } else { Some(c) });
    }
    out
}

/// The scalar at a dotted path as text, empty where there is none.
fn text_at(value: &Value, path: &str) -> String {
    let found = path.split('.').try_fold(value, |value, key| value.get(key));
    match found {
        Some(Value::String(text)) => text.clone(),
        Some(scalar @ (Value::Bool(_) | Value::Number(_))) => scalar.to_string(),
        _ => String::new(),
    }
}

/// Both selectors of a request.
#[derive(Debug, Clone, Default)]
pub(super) struct Selector {
    pub labels: LabelSelector,
    pub fields: FieldSelector,
}

impl Selector {
    pub fn parse(labels: &str, fields: &str, resource: &Resource) -> Result<Self, Status> {
        Ok(Self { labels: LabelSelector::parse(labels)?, fields: FieldSelector::parse(fields, resource)? })
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether an object is selected; `value` gives the object in the version that was asked for.
    pub fn matches(&self, object: &Object, value: impl Fn() -> Value) -> bool {
        self.labels.matches(|key| object.label(key)) && self.fields.matches(object, value)
    }
}

#[cfg(test)]
mod tests;
