//! What reaches the system from outside its disk: causes, passwords, and the subscription. Read from folders that Kubernetes mounts, and
//! looked at again and again, because mounted volumes change by swapping a symbolic link that no file watch sees.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::ids::{CustomerId, SystemId};
use model::secret::Secret;
use tokio::sync::watch;

use crate::causes::Causes;
use crate::causes_check::{self, LARGEST};

/// Everything from outside, as last read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inputs {
    /// The causes: the last that could be read.
    pub causes: Causes,
    /// Passwords by key.
    pub passwords: BTreeMap<String, Secret>,
    /// The subscription, or what is missing of it.
    pub subscription: Result<Subscription, String>,
    /// What is wrong outside: for the log.
    pub problems: Vec<String>,
}

/// What the subscription e-mail carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Where COM answers.
    pub gateway: GatewayAddress,
    /// Certificate of COM's authority in PEM.
    pub authority: String,
    /// The customer.
    pub customer_id: CustomerId,
    /// The system.
    pub system_id: SystemId,
    /// The code; not needed once enrolled.
    pub enrolment_code: Option<Secret>,
}

/// Host and port of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayAddress {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl GatewayAddress {
    /// Reads `https://host:port` or `wss://host:port`.
    ///
    /// # Errors
    /// Says what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = || format!("{text:?} is no address of a gateway; write for example https://com.example.org:8443");
        let uri: http::Uri = text.trim().parse().map_err(|_| expected())?;
        let secure = matches!(uri.scheme_str(), Some("https" | "wss"));
        let plain_path = matches!(uri.path(), "" | "/") && uri.query().is_none();
        match uri.host() {
            Some(host) if secure && plain_path && !host.is_empty() => {
                Ok(Self { host: host.trim_matches(['[', ']']).to_owned(), port: uri.port_u16().unwrap_or(443) })
            }
            _ => Err(expected()),
        }
    }
}

/// Where inputs are read from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// File of the causes.
    pub causes: PathBuf,
    /// Folder of the subscription.
    pub subscription: PathBuf,
    /// Folder of the passwords: one file a key.
    pub passwords: PathBuf,
}

/// Reads the inputs. Causes that cannot be read leave the `last` ones in force.
///
/// # Errors
/// The causes cannot be read, and there are no last ones.
pub fn read(sources: &Sources, last: Option<&Causes>) -> Result<Inputs, String> {
    let mut problems = Vec::new();
    let causes = match (read_causes(&sources.causes), last) {
        (Ok(causes), _) => causes,
        (Err(problem), Some(last)) => {
            problems.push(format!("{problem}; the last good causes stay in force"));
            last.clone()
        }
        (Err(problem), None) => return Err(format!("{problem}; the system starts once they can be read")),
    };
    let passwords = read_passwords(&sources.passwords, &causes, &mut problems);
    let subscription = read_subscription(&sources.subscription, causes.system_id.as_deref());
    Ok(Inputs { causes, passwords, subscription, problems })
}

fn read_causes(path: &Path) -> Result<Causes, String> {
    let text = read_bounded(path).map_err(|error| format!("the causes in {} cannot be read: {error}", path.display()))?;
    causes_check::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
}

fn read_passwords(folder: &Path, causes: &Causes, problems: &mut Vec<String>) -> BTreeMap<String, Secret> {
    let mut passwords = BTreeMap::new();
    for key in causes.service_users.iter().filter_map(|user| user.password_secret_key.as_ref()) {
        match read_value(&folder.join(key)) {
            Ok(password) if password.is_empty() => problems.push(format!("the password {key} is empty; write one into the Secret")),
            Ok(password) => {
                passwords.insert(key.clone(), Secret::new(password));
            }
            Err(error) => problems.push(format!("the password {key} cannot be read: {error}; put the key into the Secret of passwords")),
        }
    }
    passwords
}

fn read_subscription(folder: &Path, system_id: Option<&str>) -> Result<Subscription, String> {
    let required = |name: &str| {
        read_value(&folder.join(name)).map_err(|error| {
            format!("the subscription's file {name} cannot be read: {error}; the system waits for it in {}", folder.display())
        })
    };
    let id = |name: &str, error: model::ids::ParseIdError| format!("the subscription's {name} cannot be used: {error}");
    let gateway = GatewayAddress::parse(&required("gateway")?)?;
    let authority = required("ca.crt")?;
    let customer_id = required("customerId")?.parse().map_err(|error| id("customerId", error))?;
    let system_id = match (read_value(&folder.join("systemId")), system_id) {
        (Ok(text), _) => text,
        (Err(_), Some(text)) => text.to_owned(),
        (Err(_), None) => required("systemId")?,
    };
    let system_id = system_id.parse().map_err(|error| id("systemId", error))?;
    let enrolment_code = read_value(&folder.join("enrolmentCode")).ok().filter(|code| !code.is_empty()).map(Secret::new);
    Ok(Subscription { gateway, authority, customer_id, system_id, enrolment_code })
}

/// A value of a Secret: the line break that editors and `echo` leave at the end is not part of it.
fn read_value(path: &Path) -> io::Result<String> {
    let text = read_bounded(path)?;
    Ok(text.strip_suffix("\r\n").or(text.strip_suffix('\n')).unwrap_or(&text).to_owned())
}

fn read_bounded(path: &Path) -> io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?.take(LARGEST as u64 + 1).read_to_string(&mut text)?;
    if text.len() > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {LARGEST} bytes")));
    }
    Ok(text)
}

/// Reads the inputs every `interval` and publishes what changed, until nobody listens any more.
pub async fn follow(sources: Sources, interval: Duration, publish: watch::Sender<Arc<Inputs>>) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = publish.closed() => return,
            _ = ticks.tick() => {}
        }
        let last = publish.borrow().clone();
        let sources = sources.clone();
        let read = tokio::task::spawn_blocking(move || read(&sources, Some(&last.causes))).await;
        if let Ok(Ok(inputs)) = read {
            publish.send_if_modified(|current| {
                let changed = **current != inputs;
                if changed {
                    *current = Arc::new(inputs);
                }
                changed
            });
        }
    }
}

#[cfg(test)]
mod tests;
