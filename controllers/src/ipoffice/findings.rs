//! IPOffice: what is right and wrong with a system, one finding a condition, each with what to do. Pure.

use crds::conditions::Finding;
use model::account::SignInOutcome;
use model::connectivity::{Colour, Message, Observation};
use protocol::message::Settings;

use super::plan::{CredentialsState, CustomerState, Observed};
use super::wanted;

/// `Valid`: the spec can be carried out.
pub fn valid(observed: &Observed) -> Finding {
    let not = |reason: &str, message: String| Finding::new("Valid", false, reason, message);
    let spec = &observed.system.spec;
    let customer = &spec.customer;
    match observed.customer {
        CustomerState::Missing => {
            return not(
                "CustomerNotFound",
                format!(
                    "there is no Customer {customer} in this namespace; create it, or correct spec.customer by creating the system again"
                ),
            );
        }
        CustomerState::Deleting => {
            return not(
                "CustomerDeleting",
                format!("the Customer {customer} is being deleted and waits for its systems; delete this system too"),
            );
        }
        CustomerState::WithoutId => {
            return not(
                "CustomerNotReady",
                format!("the Customer {customer} has an id that belongs to another one; see its condition Ready"),
            );
        }
        CustomerState::Present => {}
    }
    if let Some(other) = &observed.id_taken_by {
        let id = &observed.key.system;
        return not(
            "DuplicateSystemId",
            format!("the system id {id} belongs to the older system {other}; delete this system and create it with another spec.systemId"),
        );
    }
    if let Some(zone) = &spec.time_zone
        && jiff::tz::TimeZone::get(zone).is_err()
    {
        return not("UnknownTimeZone", format!("there is no time zone {zone}; use an IANA name such as Europe/London"));
    }
    if let Some(tunnel) = spec
        .tunnels
        .iter()
        .find(|tunnel| tunnel.through.as_ref().is_some_and(|name| !spec.servers.iter().any(|server| server.name == *name)))
    {
        let through = tunnel.through.as_deref().unwrap_or_default();
        return not(
            "UnknownServer",
            format!("the tunnel {} goes through the server {through}, which spec.servers does not have; correct one of them", tunnel.name),
        );
    }
    if observed.credentials == CredentialsState::SecretMissing {
        let name = spec.service_user.as_ref().map(|user| user.password_secret.name.as_str()).unwrap_or_default();
        return not(
            "SecretNotFound",
            format!(
                "there is no Secret {name} with the service user's password in this namespace; create it, or correct spec.serviceUser.passwordSecret"
            ),
        );
    }
    Finding::new("Valid", true, "Accepted", "the spec can be carried out")
}

/// `Enrolled`: the system has its certificate.
pub fn enrolled(observed: &Observed, valid: &Finding) -> Finding {
    let enrolment = observed.system.status.as_ref().and_then(|status| status.enrolment.as_ref());
    match enrolment {
        Some(_) if observed.system.spec.allow_reenrolment => Finding::new(
            "Enrolled",
            true,
            "ReenrolmentAllowed",
            "the system has its certificate and may exchange its code for another one; remove spec.allowReenrolment once it has",
        ),
        Some(_) => Finding::new("Enrolled", true, "CertificateIssued", "the system has exchanged its code for its certificate"),
        None if valid.holds == Some(false) && valid.reason != "SecretNotFound" => {
            Finding::new("Enrolled", false, "NotValid", "no system can enrol before the spec can be carried out; see the condition Valid")
        }
        None => Finding::new(
            "Enrolled",
            false,
            "WaitingForSystem",
            format!(
                "no system has used the subscription with the id {} yet; set it up with the Secret {}",
                observed.key.system,
                crate::customer::secret_name(&observed.system.spec.customer)
            ),
        ),
    }
}

/// `Connected`: a session stands.
pub fn connected(observation: &Observation, message: Message) -> Finding {
    if matches!(observation, Observation::Connected { .. }) {
        return Finding::new("Connected", true, "SessionEstablished", "the system is connected");
    }
    Finding::new("Connected", false, message.reason(), message.text())
}

/// `Authorized`: COM is signed in, with rights.
pub fn authorized(observed: &Observed, observation: &Observation, message: Message) -> Finding {
    let Observation::Connected { sign_in, .. } = observation else {
        return Finding {
            kind: "Authorized",
            holds: None,
            reason: "NotConnected".into(),
            message: "known once the system is connected".into(),
        };
    };
    let holds = matches!(sign_in, Some(SignInOutcome::Accepted { .. })) && !lacks_rights(message);
    if holds {
        return Finding::new("Authorized", true, "SignedIn", "signed in, and the account has the rights it needs");
    }
    Finding::new("Authorized", false, message.reason(), advice(observed, message))
}

fn lacks_rights(message: Message) -> bool {
    matches!(
        message,
        Message::NoUserRights | Message::ServiceMonitorReadMissing | Message::InsufficientRights | Message::UpgradeRightsMissing
    )
}

/// `Configured`: the system has the settings of the spec.
pub fn configured(observed: &Observed, observation: &Observation, valid: &Finding, pending: Option<&Settings>) -> Finding {
    if valid.holds == Some(false) {
        let finding = "settings are set once the spec can be carried out; see the condition Valid";
        return Finding { kind: "Configured", holds: None, reason: "NotValid".into(), message: finding.into() };
    }
    if wanted::is_empty(&observed.system.spec) {
        return Finding::new("Configured", true, "NothingWanted", "the spec sets nothing: the system keeps its own settings");
    }
    if let (Some(_), Some((reason, message))) = (pending, &observed.configure_failure) {
        return Finding::new("Configured", false, reason.clone(), format!("the system did not take its settings: {message}"));
    }
    if pending.is_some() {
        return Finding::new("Configured", false, "Applying", "settings differ from the spec and are being set on the system");
    }
    match observation {
        Observation::Connected { sign_in: Some(SignInOutcome::Accepted { .. }), legacy: false, .. } => {
            Finding::new("Configured", true, "InStep", "the system has the settings of the spec")
        }
        Observation::Connected { legacy: true, .. } => Finding::new(
            "Configured",
            false,
            "Legacy",
            "systems older than 11.1.1.0.0 are watched only; upgrade it on site, or remove the settings from the spec",
        ),
        _ => Finding {
            kind: "Configured",
            holds: None,
            reason: "NotSignedIn".into(),
            message: "settings are set once COM is signed in to the system".into(),
        },
    }
}

/// `Ready`: green, and as the spec wants it.
pub fn ready(observed: &Observed, valid: &Finding, (message, colour): (Message, Colour)) -> Finding {
    if valid.holds == Some(false) && valid.reason != "SecretNotFound" {
        return Finding::new("Ready", false, valid.reason.clone(), valid.message.clone());
    }
    let offline = offline_servers(observed);
    if !offline.is_empty()
        && colour == Colour::Amber
        && matches!(message, Message::ConnectionSuccessful | Message::Legacy | Message::RemoteOperationsNotPermitted)
    {
        let text = message.text();
        return Finding::new(
            "Ready",
            false,
            "ServersOffline",
            format!("{text}, but the primary does not reach {offline}: check their power and their network"),
        );
    }
    Finding::new("Ready", colour == Colour::Green, message.reason(), advice(observed, message))
}

/// Names of servers that the primary does not reach, the first five of them.
fn offline_servers(observed: &Observed) -> String {
    let servers = observed.view.iter().flat_map(|view| &view.facts.servers).filter(|server| !server.online);
    servers.map(|server| server.name.as_str()).take(5).collect::<Vec<_>>().join(", ")
}

/// What a message means here, and what to do.
pub fn advice(observed: &Observed, message: Message) -> String {
    let user = observed.system.spec.service_user.as_ref();
    let name = user.map_or(model::rights::DEFAULT_SERVICE_USER, |user| user.name.as_str());
    let secret = user.map_or_else(|| "spec.serviceUser".to_owned(), |user| format!("the Secret {}", user.password_secret.name));
    let text = message.text();
    match message {
        Message::WaitingForInitialConnection => {
            let code = crate::customer::secret_name(&observed.system.spec.customer);
            format!("{text}: set the system up with what the Secret {code} holds; it has not connected yet")
        }
        Message::ConnectionFailed => {
            format!("{text}: what connects with the system's certificate does not speak the protocol; check what runs there")
        }
        Message::NotReachableOrNotPrimary => {
            format!("{text}: it reboots for an upgrade or a restore, or its primary is another server; wait, or see status.servers")
        }
        Message::OfflineForLast => {
            format!(
                "{text} (since status.connection.since): check its power and its network; a replaced unit, or one that lost its disk, enrols again only with spec.allowReenrolment"
            )
        }
        Message::NoAuthorizationProvided => match observed.credentials {
            CredentialsState::NotConfigured => format!("{text} Set spec.serviceUser with the password of the system's service user"),
            CredentialsState::SecretMissing => format!("{text} Create {secret}: it is missing"),
            CredentialsState::Present => format!("{text} Put the password under its key into {secret}: there is none"),
        },
        Message::InvalidCredentials => {
            format!("{text}: the system has no service user {name}; create it there, or correct spec.serviceUser.name")
        }
        Message::DisabledByAdministrator | Message::CurrentlyDisabled => format!("{text}: enable {name} in the system's security settings"),
        Message::LockedTemporarily => {
            format!("{text}: {name} is locked on the system, for example after wrong passwords; tried again every minute")
        }
        Message::AuthorizationFailed => {
            format!("{text}: the password in {secret} is not the one of {name} on the system; correct one of them")
        }
        Message::PasswordExpired | Message::NewPasswordRequired => {
            format!("{}. Set a new password for {name} on the system, and put it into {secret}", text.trim_end_matches('.'))
        }
        Message::MaximumSessionsExceeded => format!("{text}: sign other applications out of the system; tried again every minute"),
        Message::NoUserRights | Message::ServiceMonitorReadMissing | Message::InsufficientRights | Message::UpgradeRightsMissing => {
            format!("{text}: give {name} the rights group COM Admin on the system")
        }
        Message::Legacy => format!("{text}: older than 11.1.1.0.0, so it is watched only"),
        Message::RemoteOperationsNotPermitted => {
            format!("{text}: every switch is off; switch on what is needed in spec.remoteOperations or on the system")
        }
        Message::ConnectionSuccessful => text.to_owned(),
    }
}
