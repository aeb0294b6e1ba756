//! The functions rules may call: CEL's own, Kubernetes' library, and those that [`super::program`] writes into a rule.

use std::sync::{Arc, LazyLock};

use kube_cel::KubeCelExt;
use kube_cel::cel::common::ast::{CallExpr, Expr};
use kube_cel::cel::common::types::{CelInt, CelList};
use kube_cel::cel::extractors::This;
use kube_cel::cel::objects::{Key, OptionalValue};
use kube_cel::cel::parser::Expression;
use kube_cel::cel::{Context, ExecutionError, FunctionContext, Value};

use super::{authority, bounded, budget, lazy};

/// Pays for one step of a loop. Users cannot write the name, nor those below.
pub(super) const STEP: &str = "@step";
/// `+` that pays for the size of its result.
pub(super) const SUM: &str = "@sum";
/// `a.?b`, also where `b` is absent.
pub(super) const OPTIONAL_FIELD: &str = "@optionalField";

/// Why an evaluation ended early. The words are Kubernetes'.
pub(super) const TOO_EXPENSIVE: &str = "operation cancelled: actual cost limit exceeded";

/// All functions of rules, registered once for all evaluations.
pub(super) static FUNCTIONS: LazyLock<Context<'static>> = LazyLock::new(common);

/// Those of admission policies, which may ask in addition what users are allowed.
pub(super) static POLICY_FUNCTIONS: LazyLock<Context<'static>> = LazyLock::new(|| {
    let mut context = common();
    authority::register(&mut context);
    lazy::register(&mut context);
    context
});

fn common() -> Context<'static> {
    let mut context = Context::default().with_all();
    context.add_function(STEP, step);
    context.add_function(SUM, sum);
    context.add_function(OPTIONAL_FIELD, optional_field);
    context.add_function("dyn", |value: Value| -> Result<Value, ExecutionError> { Ok(value) });
    context.add_function("size", size);
    context.add_function("string", string);
    bounded::register(&mut context);
    context
}

/// Whether there is a function of that name, such as `size` or `sets.contains`. The interpreter does not list them, but it says so
/// when a call names one that it does not know.
pub(super) fn exists(functions: &Context, name: &str) -> bool {
    let call = CallExpr { func_name: name.to_owned(), target: None, args: Vec::new() };
    let result = Value::resolve(&Expression { id: 0, expr: Expr::Call(call) }, functions);
    !matches!(result, Err(ExecutionError::UndeclaredReference(_)))
}

/// The length in characters, not in bytes, unlike the interpreter's own.
fn size(context: &FunctionContext, This(this): This<Value>) -> Result<i64, ExecutionError> {
    let size = match &this {
        Value::List(list) => list.len(),
        Value::Map(map) => map.map.len(),
        Value::String(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        _ => return Err(context.error("no such overload")),
    };
    Ok(i64::try_from(size).unwrap_or(i64::MAX))
}

/// The library's own, for all values but those it does not know.
static LIBRARY: LazyLock<Context<'static>> = LazyLock::new(|| Context::default().with_all());

/// The text of a value, of a bool too, unlike the library's.
fn string(This(this): This<Value>) -> Result<Value, ExecutionError> {
    if let Value::Bool(value) = this {
        return Ok(Value::String(Arc::new(value.to_string())));
    }
    let mut context = LIBRARY.new_inner_scope();
    context.add_variable_from_value(VALUE, this);
    let argument = Expression { id: 0, expr: Expr::Ident(VALUE.to_owned()) };
    let call = CallExpr { func_name: "string".to_owned(), target: None, args: vec![argument] };
    Value::resolve(&Expression { id: 0, expr: Expr::Call(call) }, &context)
}

/// The name of a value that is handed on.
const VALUE: &str = "@value";

/// Charges `args[0]` and, where the accumulator `args[1]` is a list, its length: it is copied in each step.
fn step(context: &FunctionContext) -> Result<bool, ExecutionError> {
    let [price, accumulator] = context.args else { return Err(ExecutionError::NoSuchOverload) };
    let price = Value::resolve_val(price, context.ptx)?.downcast_ref::<CelInt>().map_or(1, |price| (*price.inner()).unsigned_abs());
    let length = Value::resolve_val(accumulator, context.ptx)?.downcast_ref::<CelList>().map_or(0, |list| list.inner().len());
    pay(context, price + length as u64)?;
    Ok(true)
}

fn sum(context: &FunctionContext) -> Result<Value, ExecutionError> {
    let [left, right] = context.args else { return Err(ExecutionError::NoSuchOverload) };
    let left = Value::resolve(left, context.ptx)?;
    let right = Value::resolve(right, context.ptx)?;
    pay(context, 1 + weight(&left) + weight(&right))?;
    left + right
}

pub(super) fn pay(context: &FunctionContext, cost: u64) -> Result<(), ExecutionError> {
    if budget::charge(cost) { Ok(()) } else { Err(context.error(TOO_EXPENSIVE)) }
}

/// What copying a value costs, roughly.
fn weight(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.len() as u64 / 10,
        Value::Bytes(bytes) => bytes.len() as u64 / 10,
        Value::List(list) => list.iter().map(|item| 1 + weight(item)).sum(),
        _ => 0,
    }
}

fn optional_field(context: &FunctionContext) -> Result<Value, ExecutionError> {
    let [operand, field] = context.args else { return Err(ExecutionError::NoSuchOverload) };
    let operand = resolve(operand, context)?;
    let Value::String(field) = resolve(field, context)? else { return Err(ExecutionError::NoSuchOverload) };
    let found = match &operand {
        Value::Opaque(_) => <&OptionalValue>::try_from(&operand)?.value().and_then(|inner| member(inner, &field)),
        other => member(other, &field),
    };
    Ok(Value::Opaque(Arc::new(found.map_or_else(OptionalValue::none, OptionalValue::of))))
}

fn resolve(expression: &Expression, context: &FunctionContext) -> Result<Value, ExecutionError> {
    Value::resolve(expression, context.ptx)
}

fn member(value: &Value, field: &Arc<String>) -> Option<Value> {
    match value {
        Value::Map(map) => map.map.get(&Key::String(field.clone())).cloned(),
        _ => None,
    }
}
