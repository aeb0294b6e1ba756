//! Customer: what was observed to what to do. Pure.

use crds::conditions::{Finding, conditions};
use crds::customer::SystemCounts;
use crds::{Customer, CustomerStatus};
use model::connectivity::Colour;
use model::ids::CustomerId;

/// What was observed of a customer.
#[derive(Debug)]
pub struct Observed<'a> {
    /// The object.
    pub customer: &'a Customer,
    /// The id it has or would have.
    pub id: CustomerId,
    /// Another, older customer that has the id: `namespace/name`.
    pub id_taken_by: Option<String>,
    /// Another, older customer of the namespace that has the display name.
    pub name_taken_by: Option<String>,
    /// Names and colours of the systems that name it.
    pub systems: Vec<(String, Option<Colour>)>,
    /// The Secret that should hold the subscription.
    pub secret: SecretState,
    /// Whether the object is set aside.
    pub paused: bool,
    /// Now.
    pub now: jiff::Timestamp,
}

/// The Secret that should hold the subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretState {
    /// Not there yet.
    Missing,
    /// There, and ours.
    Ours,
    /// There, but somebody else's.
    Foreign,
}

/// What to do.
#[derive(Debug, PartialEq)]
pub struct Plan {
    /// Status to write.
    pub status: CustomerStatus,
    /// Whether the subscription Secret is to be made or brought up to date.
    pub subscription: bool,
    /// Whether the finalizer may go.
    pub release: bool,
}

/// Name of the subscription Secret of a customer.
pub fn secret_name(customer: &str) -> String {
    format!("{customer}-subscription")
}

/// Makes the plan.
pub fn plan(observed: &Observed) -> Plan {
    let customer = observed.customer;
    let name = customer.metadata.name.as_deref().unwrap_or_default();
    let previous = customer.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let generation = customer.metadata.generation;
    if observed.paused {
        let mut status = customer.status.clone().unwrap_or_default();
        let finding = Finding::new("Paused", true, "Annotated", PAUSED);
        let mut all: Vec<_> = status.conditions.iter().filter(|condition| condition.type_ != "Paused").cloned().collect();
        all.extend(conditions(previous, &[finding], generation, observed.now));
        status.conditions = all;
        return Plan { status, subscription: false, release: false };
    }
    let deleting = customer.metadata.deletion_timestamp.is_some();
    let secret = secret_name(name);
    let ready = readiness(observed, deleting, &secret);
    let usable = observed.id_taken_by.is_none() && observed.secret != SecretState::Foreign && !deleting;
    let status = CustomerStatus {
        observed_generation: generation,
        conditions: conditions(previous, &[ready], generation, observed.now),
        customer_id: Some(observed.id.to_string()),
        subscription_secret: usable.then_some(secret),
        systems: Some(counts(&observed.systems)),
    };
    Plan { status, subscription: usable, release: deleting && observed.systems.is_empty() }
}

/// Text of the condition `Paused`.
pub const PAUSED: &str = "the annotation switchboard.dev/paused is set: nothing is done for this object until it is removed";

fn readiness(observed: &Observed, deleting: bool, secret: &str) -> Finding {
    let not = |reason: &str, message: String| Finding::new("Ready", false, reason, message);
    if deleting {
        let mut names: Vec<&str> = observed.systems.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        let shown = names.iter().take(5).copied().collect::<Vec<_>>().join(", ");
        let more = names.len().saturating_sub(5);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        return not("SystemsRemain", format!("the customer is deleted once its systems are gone; delete the IPOffices {shown}{more}"));
    }
    if let Some(other) = &observed.id_taken_by {
        let id = &observed.id;
        return not(
            "DuplicateCustomerId",
            format!(
                "the customer id {id} belongs to the older customer {other}; delete this customer and create it with another spec.customerId"
            ),
        );
    }
    if let Some(other) = &observed.name_taken_by {
        return not("DuplicateDisplayName", format!("the older customer {other} has the same spec.displayName; change one of them"));
    }
    if observed.secret == SecretState::Foreign {
        return not(
            "SecretTaken",
            format!("the Secret {secret} exists and does not belong to this customer; delete or rename it: the subscription is kept there"),
        );
    }
    Finding::new("Ready", true, "SubscriptionReady", format!("systems connect with what the Secret {secret} holds"))
}

fn counts(systems: &[(String, Option<Colour>)]) -> SystemCounts {
    let number =
        |colour| u32::try_from(systems.iter().filter(|(_, seen)| seen.unwrap_or(Colour::Red) == colour).count()).unwrap_or(u32::MAX);
    SystemCounts {
        total: u32::try_from(systems.len()).unwrap_or(u32::MAX),
        green: number(Colour::Green),
        amber: number(Colour::Amber),
        red: number(Colour::Red),
    }
}
