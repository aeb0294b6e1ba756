//! The type an expression evaluates to, as far as it shows without a type checker: from the operator or function at its root.

use std::collections::HashMap;

use kube_cel::cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};

use super::expression::{Names, request_schema};
use crate::schema::Kind;

/// Functions that answer yes or no.
const YES_OR_NO: [&str; 24] = [
    "startsWith",
    "endsWith",
    "contains",
    "matches",
    "allowed",
    "errored",
    "hasValue",
    "isSorted",
    "isURL",
    "isIP",
    "isCIDR",
    "isQuantity",
    "isSemver",
    "isInteger",
    "isGreaterThan",
    "isLessThan",
    "containsIP",
    "containsCIDR",
    "intersects",
    "equivalent",
    "bool",
    "isLoopback",
    "isUnspecified",
    "isCanonical",
];

/// Functions that make a text.
const TEXTS: [&str; 10] = ["string", "lowerAscii", "upperAscii", "trim", "replace", "substring", "join", "format", "charAt", "find"];

/// Functions that make a whole number.
const WHOLE: [&str; 4] = ["size", "int", "compareTo", "asInteger"];

/// Types of variables.
pub(super) struct Kinds<'a> {
    variables: HashMap<&'a str, Option<&'static str>>,
}

impl<'a> Kinds<'a> {
    /// Those of the named expressions.
    pub fn new(names: &Names<'a>) -> Self {
        Self { variables: names.variables.unwrap_or_default().iter().map(|named| (named.name.as_str(), named.expression.kind())).collect() }
    }
}

/// `bool`, `string`, `int`, …; `dyn` for parts of objects, whose type shows only in the request; `None` where it cannot be told.
pub(super) fn kind(expression: &IdedExpr, kinds: &Kinds) -> Option<&'static str> {
    match &expression.expr {
        Expr::Literal(literal) => Some(of_literal(literal)),
        Expr::Ident(name) => matches!(name.as_str(), "object" | "oldObject" | "params").then_some("dyn"),
        Expr::Select(select) if select.test => Some("bool"),
        Expr::Select(select) => match &select.operand.expr {
            Expr::Ident(root) if root == "variables" => kinds.variables.get(select.field.as_str()).copied().flatten(),
            _ => of_request(expression).or_else(|| kind(&select.operand, kinds).filter(|kind| *kind == "dyn")),
        },
        Expr::Call(call) => of_call(call, kinds),
        Expr::List(_) => Some("list(dyn)"),
        Expr::Map(_) => Some("map(dyn, dyn)"),
        Expr::Comprehension(loops) => match &loops.result.expr {
            Expr::Ident(name) if *name == loops.accu_var => kind(&loops.accu_init, kinds),
            _ => kind(&loops.result, kinds),
        },
        Expr::Struct(_) | Expr::Unspecified => None,
    }
}

fn of_literal(literal: &LiteralValue) -> &'static str {
    match literal {
        LiteralValue::Boolean(_) => "bool",
        LiteralValue::Bytes(_) => "bytes",
        LiteralValue::Double(_) => "double",
        LiteralValue::Int(_) => "int",
        LiteralValue::Null => "null_type",
        LiteralValue::String(_) => "string",
        LiteralValue::UInt(_) => "uint",
    }
}

fn of_call(call: &CallExpr, kinds: &Kinds) -> Option<&'static str> {
    let argument = |at: usize| call.args.get(at).and_then(|argument| kind(argument, kinds));
    match call.func_name.as_str() {
        operators::EQUALS
        | operators::NOT_EQUALS
        | operators::LESS
        | operators::LESS_EQUALS
        | operators::GREATER
        | operators::GREATER_EQUALS
        | operators::IN
        | operators::LOGICAL_AND
        | operators::LOGICAL_OR
        | operators::LOGICAL_NOT => Some("bool"),
        operators::ADD | operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO => {
            [argument(0), argument(1)].into_iter().flatten().find(|kind| *kind != "dyn").or_else(|| argument(0).and(argument(1)))
        }
        operators::NEGATE => argument(0),
        operators::CONDITIONAL => argument(1).filter(|kind| argument(2) == Some(kind)),
        operators::INDEX => argument(0).filter(|kind| *kind == "dyn"),
        "dyn" => Some("dyn"),
        "check" => Some("kubernetes.authorization.Decision"),
        "timestamp" => Some("google.protobuf.Timestamp"),
        "duration" => Some("google.protobuf.Duration"),
        name if YES_OR_NO.contains(&name) => Some("bool"),
        name if TEXTS.contains(&name) => Some("string"),
        name if WHOLE.contains(&name) => Some("int"),
        _ => None,
    }
}

/// The type of `request.a.b`.
fn of_request(expression: &IdedExpr) -> Option<&'static str> {
    let (mut at, mut fields) = (expression, Vec::new());
    while let Expr::Select(select) = &at.expr {
        fields.push(select.field.as_str());
        at = &select.operand;
    }
    if !matches!(&at.expr, Expr::Ident(name) if name == "request") {
        return None;
    }
    let schema = fields.iter().rev().try_fold(request_schema(), |schema, field| schema.field(field).map(std::convert::AsRef::as_ref))?;
    match schema.kind {
        Kind::String => Some("string"),
        Kind::Boolean => Some("bool"),
        _ => None,
    }
}
