//! A CEL expression over named variables, for whoever needs more than a schema's rules: admission policies.

use kube_cel::cel::Value as Cel;
use kube_cel::cel::objects::{Key, OptionalValue};
use serde_json::{Map, Value};

use super::budget::RULE_LIMIT;
use super::convert::to_cel;
use super::functions::FUNCTIONS;
use super::{program, run};
use crate::schema::Schema;

/// A compiled expression. Compile once, evaluate often; see [`check_rules`](super::check_rules) for the differences to a real server.
#[derive(Debug)]
pub struct Expression {
    inner: program::Expression,
}

/// A variable of an [`Expression`].
#[derive(Debug, Clone, Copy)]
pub struct Variable<'a> {
    /// Its name, such as `object`.
    pub name: &'a str,
    /// What it holds.
    pub value: &'a Value,
    /// What its fields are; without one, field names are not escaped and times stay text.
    pub schema: Option<&'a Schema>,
}

impl Expression {
    /// Compiles an expression.
    ///
    /// # Errors
    /// The compiler's sentence, with line and column.
    pub fn compile(text: &str) -> Result<Self, String> {
        program::compile(text).map(|inner| Self { inner })
    }

    /// The value for these variables, as JSON. Costs are bounded as for one rule of a schema.
    ///
    /// # Errors
    /// Why there is none, such as `no such key: a`.
    pub fn evaluate(&self, variables: &[Variable]) -> Result<Value, String> {
        let untyped = Schema::default();
        let mut context = FUNCTIONS.new_inner_scope();
        for variable in variables {
            context.add_variable_from_value(variable.name, to_cel(variable.schema.unwrap_or(&untyped), variable.value));
        }
        let (result, used) = run::evaluate(&self.inner, &context, RULE_LIMIT);
        match (result, used) {
            (_, None) => Err(super::functions::TOO_EXPENSIVE.to_owned()),
            (Ok(value), Some(_)) => Ok(to_json(&value)),
            (Err(error), Some(_)) => Err(run::describe(&error)),
        }
    }
}

/// A CEL value as JSON; what JSON does not know becomes text, an absent optional `null`.
fn to_json(value: &Cel) -> Value {
    match value {
        Cel::Bool(value) => Value::from(*value),
        Cel::Int(value) => Value::from(*value),
        Cel::UInt(value) => Value::from(*value),
        Cel::Float(value) => Value::from(*value),
        Cel::String(value) => Value::from(value.as_str()),
        Cel::List(items) => items.iter().map(to_json).collect(),
        Cel::Map(map) => {
            let member = |(key, value): (&Key, &Cel)| (key.to_string(), to_json(value));
            Value::Object(map.map.iter().map(member).collect::<Map<_, _>>())
        }
        Cel::Timestamp(time) => Value::from(time.to_rfc3339()),
        Cel::Opaque(_) => <&OptionalValue>::try_from(value).ok().and_then(OptionalValue::value).map_or(Value::Null, to_json),
        Cel::Duration(duration) => Value::from(duration.to_string()),
        Cel::Bytes(_) | Cel::Function(..) | Cel::Null => Value::Null,
    }
}
