//! Library functions whose cost grows faster than their input, in versions that pay for it.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use kube_cel::cel::extractors::{Arguments, This};
use kube_cel::cel::{Context, ExecutionError, FunctionContext, Value};
use regex::{Regex, RegexBuilder};

use super::functions::pay;

/// Patterns kept compiled.
const KEPT_PATTERNS: usize = 256;

/// Price of compiling a pattern, in units.
const PATTERN_PRICE: u64 = 1000;

type Items = Arc<Vec<Value>>;
type Text = Arc<String>;
type Outcome = Result<Value, ExecutionError>;

/// Puts the functions in place of those of the libraries.
pub(super) fn register(context: &mut Context) {
    context.add_function("distinct", distinct);
    context.add_function("sets.contains", sets_contains);
    context.add_function("sets.equivalent", sets_equivalent);
    context.add_function("sets.intersects", sets_intersects);
    context.add_function("lists.range", range);
    context.add_function("replace", replace);
    context.add_function("matches", matches);
    context.add_function("find", find);
    context.add_function("findAll", find_all);
}

fn distinct(context: &FunctionContext, This(items): This<Items>) -> Outcome {
    let mut kept: Vec<Value> = Vec::new();
    for item in items.iter() {
        pay(context, 1 + kept.len() as u64)?;
        if !kept.contains(item) {
            kept.push(item.clone());
        }
    }
    Ok(Value::List(Arc::new(kept)))
}

fn sets_contains(context: &FunctionContext, left: Items, right: Items) -> Outcome {
    pay_for_pairs(context, &left, &right)?;
    Ok(Value::Bool(right.iter().all(|item| left.contains(item))))
}

fn sets_equivalent(context: &FunctionContext, left: Items, right: Items) -> Outcome {
    pay_for_pairs(context, &left, &right)?;
    Ok(Value::Bool(right.iter().all(|item| left.contains(item)) && left.iter().all(|item| right.contains(item))))
}

fn sets_intersects(context: &FunctionContext, left: Items, right: Items) -> Outcome {
    pay_for_pairs(context, &left, &right)?;
    Ok(Value::Bool(right.iter().any(|item| left.contains(item))))
}

fn pay_for_pairs(context: &FunctionContext, left: &[Value], right: &[Value]) -> Result<(), ExecutionError> {
    pay(context, 1 + (left.len() as u64).saturating_mul(right.len() as u64))
}

fn range(context: &FunctionContext, count: i64) -> Outcome {
    let cost = u64::try_from(count).map_err(|_| context.error("range argument must be non-negative"))?;
    pay(context, cost)?;
    Ok(Value::List(Arc::new((0..count).map(Value::Int).collect())))
}

fn replace(context: &FunctionContext, This(text): This<Text>, Arguments(arguments): Arguments) -> Outcome {
    let (from, to, limit) = match arguments.as_slice() {
        [Value::String(from), Value::String(to)] => (from, to, None),
        [Value::String(from), Value::String(to), Value::Int(limit)] => (from, to, usize::try_from(*limit).ok()),
        _ => return Err(ExecutionError::NoSuchOverload),
    };
    let places = text.matches(from.as_str()).count() as u64;
    pay(context, 1 + (text.len() as u64 + places.saturating_mul(to.len() as u64)) / 10)?;
    let replaced = match limit {
        Some(limit) => text.replacen(from.as_str(), to, limit),
        None => text.replace(from.as_str(), to),
    };
    Ok(Value::String(Arc::new(replaced)))
}

fn matches(context: &FunctionContext, This(text): This<Text>, pattern: Text) -> Outcome {
    Ok(Value::Bool(regex(context, &text, &pattern)?.is_match(&text)))
}

fn find(context: &FunctionContext, This(text): This<Text>, pattern: Text) -> Outcome {
    let found = regex(context, &text, &pattern)?.find(&text).map(|found| found.as_str().to_owned());
    Ok(Value::String(Arc::new(found.unwrap_or_default())))
}

fn find_all(context: &FunctionContext, This(text): This<Text>, Arguments(arguments): Arguments) -> Outcome {
    let (pattern, limit) = match arguments.as_slice() {
        [Value::String(pattern)] => (pattern, None),
        [Value::String(pattern), Value::Int(limit)] => (pattern, usize::try_from(*limit).ok()),
        _ => return Err(ExecutionError::NoSuchOverload),
    };
    let regex = regex(context, &text, pattern)?;
    let found = regex.find_iter(&text).take(limit.unwrap_or(usize::MAX));
    Ok(Value::List(Arc::new(found.map(|found| Value::String(Arc::new(found.as_str().to_owned()))).collect())))
}

/// The compiled pattern, paid for together with its use on `text`.
fn regex(context: &FunctionContext, text: &str, pattern: &str) -> Result<Regex, ExecutionError> {
    static KEPT: LazyLock<Mutex<HashMap<String, Regex>>> = LazyLock::new(Mutex::default);
    pay(context, 1 + text.len() as u64 / 10)?;
    let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner).get(pattern).cloned();
    if let Some(regex) = kept {
        return Ok(regex);
    }
    pay(context, PATTERN_PRICE)?;
    let compiled = RegexBuilder::new(pattern).size_limit(1 << 20).build();
    let regex = compiled.map_err(|error| context.error(format!("'{pattern}' not a valid regex: {error}")))?;
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() >= KEPT_PATTERNS {
        kept.clear();
    }
    kept.insert(pattern.to_owned(), regex.clone());
    Ok(regex)
}
