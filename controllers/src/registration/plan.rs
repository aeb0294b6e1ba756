//! Registration: what was observed to what to do. Pure.

use crds::conditions::{Finding, conditions};
use crds::customer::RegistrationPolicy;
use crds::registration::{Decision, RegistrationSpec, RegistrationStatus};
use crds::{IPOffice, Registration};
use kube::ResourceExt as _;
use kube::core::ObjectMeta;
use model::system::Profile;
use ring::digest;

use crate::MANAGED_BY;

/// Label of an IPOffice that was made for a registered system; its value is `registration`.
pub const ORIGIN: &str = "switchboard.dev/origin";
/// Annotation of such an IPOffice: the Registration it was made for.
pub const REGISTRATION: &str = "switchboard.dev/registration";
/// Longest name of an object.
const LONGEST_NAME: usize = 253;

/// What was observed of a registration.
#[derive(Debug)]
pub struct Observed<'a> {
    /// The object.
    pub registration: &'a Registration,
    /// Its customer.
    pub customer: CustomerState,
    /// Whether the registration goes with its customer.
    pub owned: bool,
    /// The IPOffice of the customer that has the system's id.
    pub declared: Option<Declared>,
    /// What another object is that has the name the IPOffice should get, for people.
    pub in_the_way: Option<String>,
    /// Why the API server did not take the IPOffice at this look.
    pub refused: Option<String>,
    /// Whether the object is set aside.
    pub paused: bool,
    /// Now.
    pub now: jiff::Timestamp,
}

/// The customer of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CustomerState {
    /// Not there.
    Missing,
    /// Being deleted.
    Deleting,
    /// An older customer has its id, so its systems cannot enrol.
    WithoutId,
    /// There, with this policy.
    Present(RegistrationPolicy),
}

/// An IPOffice that has the system's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Its name.
    pub name: String,
    /// Whether it is being deleted.
    pub deleting: bool,
}

/// One thing to do. One at a time: what it changes brings the next look.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Nothing.
    None,
    /// Have the registration go with its customer.
    Own,
    /// Decide as the customer's policy says.
    Approve,
    /// Make the IPOffice.
    Create(Box<IPOffice>),
}

/// What to do.
#[derive(Debug, PartialEq)]
pub struct Plan {
    /// Status to write; `None`: the step comes first.
    pub status: Option<RegistrationStatus>,
    /// The next step.
    pub step: Step,
}

/// Name of a registration made by Switchboard, and of the IPOffice where the registration gives none: `<customer>-<system id>`. A name too
/// long for that is cut, and a digest of the whole put in its place.
pub fn object_name(customer: &str, system_id: &str) -> String {
    let name = format!("{customer}-{system_id}");
    if name.len() <= LONGEST_NAME {
        return name;
    }
    let digest = digest::digest(&digest::SHA256, name.as_bytes());
    let digest: String = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let cut = customer.get(..200).unwrap_or(customer).trim_end_matches(['.', '-']);
    format!("{cut}-{digest}-{system_id}")
}

/// Name that the IPOffice of a registration has or would have.
pub fn ip_office_name(spec: &RegistrationSpec) -> String {
    spec.ip_office.clone().unwrap_or_else(|| object_name(&spec.customer, &spec.system_id))
}

/// Makes the plan.
pub fn plan(observed: &Observed) -> Plan {
    let registration = observed.registration;
    let previous = registration.status.clone().unwrap_or_default();
    let generation = registration.metadata.generation;
    if observed.paused {
        let finding = Finding::new("Paused", true, "Annotated", crate::customer::PAUSED);
        let mut status = previous.clone();
        status.conditions.retain(|condition| condition.type_ != "Paused");
        status.conditions.extend(conditions(&previous.conditions, &[finding], generation, observed.now));
        return Plan { status: Some(status), step: Step::None };
    }
    if registration.metadata.deletion_timestamp.is_some() {
        return Plan { status: None, step: Step::None };
    }
    let (ready, ip_office) = match next(observed) {
        Next::Step(step) => return Plan { status: None, step },
        Next::Standing { ready, ip_office } => (ready, ip_office),
    };
    let status = RegistrationStatus {
        observed_generation: generation,
        conditions: conditions(&previous.conditions, &[ready], generation, observed.now),
        ip_office: ip_office.or(previous.ip_office),
    };
    Plan { status: Some(status), step: Step::None }
}

enum Next {
    Step(Step),
    Standing {
        ready: Finding,
        /// The IPOffice that stands for the system by decision.
        ip_office: Option<String>,
    },
}

fn not(reason: &str, message: impl Into<String>) -> Next {
    Next::Standing { ready: Finding::new("Ready", false, reason, message), ip_office: None }
}

fn next(observed: &Observed) -> Next {
    let spec = &observed.registration.spec;
    let customer = &spec.customer;
    let policy = match observed.customer {
        CustomerState::Missing => {
            return not(
                "CustomerNotFound",
                format!("there is no Customer {customer} in this namespace; create it, or delete this Registration"),
            );
        }
        CustomerState::Deleting => {
            return not("CustomerDeleting", format!("the Customer {customer} is being deleted; this Registration goes with it"));
        }
        CustomerState::WithoutId => {
            return not("CustomerNotReady", format!("systems of the Customer {customer} cannot enrol; see its condition Ready"));
        }
        CustomerState::Present(policy) => policy,
    };
    if !observed.owned {
        return Next::Step(Step::Own);
    }
    match &observed.declared {
        Some(declared) => stands(spec.decision, declared),
        None => decided(observed, policy),
    }
}

/// There is an IPOffice for the system.
fn stands(decision: Decision, declared: &Declared) -> Next {
    let name = &declared.name;
    if declared.deleting {
        return not("IPOfficeDeleting", format!("the IPOffice {name} of the system is being deleted"));
    }
    let yes = |reason: &str, message: String, ip_office| Next::Standing { ready: Finding::new("Ready", true, reason, message), ip_office };
    match decision {
        Decision::Approved => yes(
            "LetIn",
            format!("the IPOffice {name} stands for the system; this Registration can be deleted, the IPOffice stays"),
            Some(name.clone()),
        ),
        Decision::Pending => yes(
            "Declared",
            format!("the IPOffice {name} declares the system, so that no decision is needed; delete this Registration"),
            None,
        ),
        Decision::Denied => not(
            "DeniedButDeclared",
            format!(
                "the system is denied here, but the IPOffice {name} declares it and counts; delete the IPOffice to send the system away"
            ),
        ),
    }
}

/// There is no IPOffice for the system.
fn decided(observed: &Observed, policy: RegistrationPolicy) -> Next {
    let registration = observed.registration;
    match registration.spec.decision {
        Decision::Pending => match policy {
            RegistrationPolicy::Automatic => Next::Step(Step::Approve),
            RegistrationPolicy::Manual => not(
                "WaitingForApproval",
                "the system waits; set spec.decision to Approved to have its IPOffice made, or to Denied to send it away",
            ),
        },
        Decision::Denied => not("Denied", "the system is sent away; set spec.decision to Approved to let it in"),
        Decision::Approved => approved(observed),
    }
}

fn approved(observed: &Observed) -> Next {
    let registration = observed.registration;
    if let Some(made) = registration.status.as_ref().and_then(|status| status.ip_office.as_ref()) {
        return not(
            "IPOfficeDeleted",
            format!(
                "the IPOffice {made} of the system was deleted, and the system is sent away; to have it back, delete this Registration: the system registers anew"
            ),
        );
    }
    let name = ip_office_name(&registration.spec);
    if let Some(other) = &observed.in_the_way {
        return not(
            "NameTaken",
            format!("the IPOffice {name} exists and is {other}; it stays as it is: set spec.ipOffice to another name, or delete that one"),
        );
    }
    if let Some(refusal) = &observed.refused {
        return not(
            "IPOfficeRefused",
            format!("the IPOffice {name} was refused: {refusal}; set spec.ipOffice to another name, or create it by hand"),
        );
    }
    Next::Step(Step::Create(Box::new(ip_office(registration, name))))
}

/// The IPOffice as it is made. From then on it is like any other, and belongs to whoever edits it.
fn ip_office(registration: &Registration, name: String) -> IPOffice {
    let spec = &registration.spec;
    let spec = crds::ipoffice::IPOfficeSpec {
        customer: spec.customer.clone(),
        system_id: Some(spec.system_id.clone()),
        profile: spec.profile.unwrap_or(Profile::Ip500V2),
        servers: Vec::new(),
        service_user: None,
        time_zone: None,
        remote_operations: None,
        voicemail_backup: None,
        certificates: None,
        tunnels: Vec::new(),
        allow_reenrolment: false,
    };
    let mut office = IPOffice::new(&name, spec);
    let labels = [(MANAGED_BY, "switchboard"), (ORIGIN, "registration")];
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    office.metadata = ObjectMeta {
        labels: Some(labels.map(owned).into()),
        annotations: Some([owned((REGISTRATION, &registration.name_any()))].into()),
        namespace: registration.namespace(),
        ..office.metadata
    };
    office
}
