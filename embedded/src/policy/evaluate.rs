//! Whether everything a policy says holds for a request.

use std::sync::Arc;

use serde_json::Value;

use super::definition::{Compiled, OnFailure, Policy, Validation};
use crate::schema::{Budget, Failure, Inputs, Named, Scope};

/// Longest text that an expression may make, in bytes; a longer one is not used.
const LONGEST_MESSAGE: usize = 5 * 1024;

/// Something that does not hold, or could not be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// Reason of the refusal.
    pub reason: &'static str,
    /// The text.
    pub message: String,
}

/// What does not hold. What could not be evaluated counts as the policy's `failurePolicy` says.
pub(super) fn evaluate(policy: &Policy, inputs: &Inputs, budget: &mut Budget) -> Vec<Finding> {
    let failed = |message: String| match policy.on_failure {
        OnFailure::Ignore => Vec::new(),
        OnFailure::Fail => vec![Finding { reason: "Invalid", message }],
    };
    match conditions_hold(policy, inputs, budget) {
        Ok(true) => {}
        Ok(false) => return Vec::new(),
        Err(message) => return failed(message),
    }
    let scope =
        Scope::new(inputs, &policy.variables, policy.expressions().chain(policy.variables.iter().map(|named: &Named| &named.expression)));
    let mut findings = Vec::new();
    for validation in &policy.validations {
        match condition(&scope, &validation.condition, budget) {
            Ok(true) => {}
            Ok(false) => findings.push(Finding { reason: validation.reason, message: message(&scope, validation, budget) }),
            // Nothing that was found before counts any more: the answer is that there is none.
            Err(Told::Stop(message)) => return failed(message),
            Err(Told::Error(message)) => findings.extend(failed(message)),
        }
    }
    findings
}

/// Whether all `matchConditions` hold. One that does not decides, whatever the others say.
fn conditions_hold(policy: &Policy, inputs: &Inputs, budget: &mut Budget) -> Result<bool, String> {
    if policy.conditions.is_empty() {
        return Ok(true);
    }
    // A Kubernetes server shows conditions no namespace.
    let inputs = Inputs { namespace_object: None, ..*inputs };
    let scope = Scope::new(&inputs, &Arc::default(), policy.conditions.iter().flatten());
    let mut errors = Vec::new();
    for compiled in &policy.conditions {
        match condition(&scope, compiled, budget) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(Told::Stop(message)) => return Err(message),
            Err(Told::Error(message)) => errors.push(message),
        }
    }
    match errors.len() {
        0 => Ok(true),
        1 => Err(errors.remove(0)),
        _ => Err(format!("[{}]", errors.join(", "))),
    }
}

/// Why a condition is neither true nor false.
enum Told {
    Error(String),
    /// Nor will any other be.
    Stop(String),
}

fn condition(scope: &Scope, compiled: &Compiled, budget: &mut Budget) -> Result<bool, Told> {
    let expression = compiled.as_ref().map_err(|(_, error)| Told::Error(format!("compilation error: {error}")))?;
    let text = &expression.text;
    match scope.evaluate(expression, budget) {
        Ok(Value::Bool(holds)) => Ok(holds),
        // A value of another type is no yes.
        Ok(_) => Ok(false),
        Err(Failure::Error(error)) => Err(Told::Error(format!("expression '{text}' resulted in error: {error}"))),
        Err(Failure::OutOfBudget) => {
            Err(Told::Stop("validation failed due to running out of cost budget, no further validation rules will be run".to_owned()))
        }
    }
}

/// The text for what does not hold: of the message expression if it makes one, else the message, else the expression.
fn message(scope: &Scope, validation: &Validation, budget: &mut Budget) -> String {
    let made = validation.message_expression.as_ref().and_then(|expression| scope.evaluate(expression, budget).ok());
    let made = made.as_ref().and_then(Value::as_str).unwrap_or_default().trim();
    if !made.is_empty() && made.len() <= LONGEST_MESSAGE && !made.contains('\n') {
        return made.to_owned();
    }
    if !validation.message.is_empty() {
        return validation.message.clone();
    }
    let text = validation.condition.as_ref().map_or_else(|(text, _)| text.as_str(), |expression| expression.text.as_str());
    format!("failed expression: {}", text.trim())
}
