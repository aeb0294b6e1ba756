//! The system against the real gateway.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::StreamExt as _;
use gateway::{Candidate, Credentials, Directory, DirectoryError, Gateway, Options, Registered, SystemEntry};
use model::account::SignInOutcome;
use model::connectivity::Absence;
use model::ids::{CustomerId, SystemKey};
use model::rights::Right;
use model::secret::Secret;
use model::switches::RemoteOperations;
use protocol::link::{LinkError, SessionState, SessionView, SystemLink};
use protocol::message::{Command, Settings};
use support::{Site, USER, soon};
use tokio_util::sync::CancellationToken;

/// One system, `acme-hq`, with the code `code`.
struct OneSystem {
    enrolment: Mutex<Option<String>>,
    password: Mutex<Option<String>>,
}

#[async_trait]
impl Directory for OneSystem {
    fn customer_code(&self, customer: &CustomerId) -> Option<Secret> {
        (customer.as_str() == "acme").then(|| Secret::new("code"))
    }

    fn system(&self, key: &SystemKey) -> Option<SystemEntry> {
        let enrolment_id = self.enrolment.lock().unwrap().clone();
        let known = key.customer.as_str() == "acme" && key.system.as_str() == "hq";
        let enrolment_allowed = enrolment_id.is_none();
        known.then_some(SystemEntry { enrolment_id, enrolment_allowed })
    }

    async fn record_enrolment(&self, _: &SystemKey, enrolment_id: &str) -> Result<(), DirectoryError> {
        *self.enrolment.lock().unwrap() = Some(enrolment_id.to_owned());
        Ok(())
    }

    fn registration(&self, _: &SystemKey) -> Option<Registered> {
        Some(Registered::Denied)
    }

    async fn register(&self, _: &SystemKey, _: &Candidate) -> Result<Registered, DirectoryError> {
        Ok(Registered::Denied)
    }

    async fn credentials(&self, _: &SystemKey) -> Result<Option<Credentials>, DirectoryError> {
        let password = self.password.lock().unwrap().clone();
        Ok(password.map(|password| Credentials { user: "COMAdmin".into(), password: Secret::new(password) }))
    }
}

struct World {
    directory: Arc<OneSystem>,
    link: Arc<dyn SystemLink>,
    key: SystemKey,
    folder: PathBuf,
    shutdown: CancellationToken,
    site: Site,
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl World {
    async fn new(causes: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("gateway-{}", uuid::Uuid::new_v4()));
        let directory = Arc::new(OneSystem { enrolment: Mutex::new(None), password: Mutex::new(Some("right".into())) });
        let mut options = Options::new("127.0.0.1:0".parse().unwrap(), &folder);
        options.times.sign_in_interval = std::time::Duration::from_millis(1);
        let gateway = Gateway::bind(options, directory.clone()).await.unwrap();
        let (link, shutdown) = (gateway.link(), CancellationToken::new());
        let site = Site::for_gateway(&format!("https://{}", gateway.address()), &gateway.authority_pem(), causes);
        let key = SystemKey { customer: "acme".parse().unwrap(), system: "hq".parse().unwrap() };
        tokio::spawn(gateway.run(shutdown.clone()));
        Self { directory, link, key, folder, shutdown, site }
    }

    async fn view(&self, what: &str, wanted: impl Fn(&SessionView) -> bool) -> SessionView {
        let mut changes = self.link.changes();
        let seen = async {
            loop {
                if let Some(view) = self.link.view(&self.key).filter(&wanted) {
                    return view;
                }
                changes.next().await;
            }
        };
        soon(what, seen).await
    }

    async fn signed_in(&self, outcome: SignInOutcome) -> SessionView {
        let state = SessionState::Connected { sign_in: Some(outcome) };
        self.view(&format!("{state:?}"), |view| view.state == state).await
    }

    async fn configure(&self, operation: &str, switches: RemoteOperations) -> Result<u64, LinkError> {
        let settings = Settings { remote_operations: Some(switches), ..Settings::default() };
        self.link.request(&self.key, operation, Command::Configure(settings)).await.map(|done| done.configuration_revision)
    }
}

fn accepted() -> SignInOutcome {
    SignInOutcome::Accepted { rights: Right::ALL.to_vec() }
}

#[tokio::test]
async fn com_signs_in_changes_switches_and_sees_them() {
    let mut world = World::new(USER).await;
    world.site.start();
    let before = world.signed_in(accepted()).await;
    assert_eq!(before.facts.remote_operations, RemoteOperations::default());
    let revision = world.configure("op-1", RemoteOperations::ALL).await.unwrap();
    assert_eq!(revision, before.facts.configuration_revision + 1);
    world.view("the report", |view| view.facts.remote_operations == RemoteOperations::ALL).await;
    assert_eq!(world.configure("op-1", RemoteOperations::default()).await, Ok(revision), "done once only");
}

#[tokio::test]
async fn each_state_of_the_account_reaches_com_and_a_corrected_password_too() {
    let mut world = World::new(USER).await;
    *world.directory.password.lock().unwrap() = Some("wrong".into());
    world.site.start();
    world.signed_in(SignInOutcome::WrongPassword).await;
    assert!(
        matches!(world.configure("op", RemoteOperations::ALL).await, Err(LinkError::Refused { reason, .. }) if reason == "NotSignedIn")
    );
    *world.directory.password.lock().unwrap() = Some("right".into());
    world.link.sign_in_again(&world.key);
    world.signed_in(accepted()).await;
    let user = |rest: &str| format!("serviceUsers: [{{name: COMAdmin, passwordSecretKey: com, {rest}}}]\n");
    for (causes, outcome) in [
        (user("state: DisabledByAdministrator"), SignInOutcome::DisabledByAdministrator),
        (user("state: Disabled"), SignInOutcome::Disabled),
        (user("locked: true"), SignInOutcome::LockedTemporarily),
        (format!("{USER}sessions: {{limit: 1, inUse: 1}}\n"), SignInOutcome::TooManySessions),
        (user("passwordExpired: true"), SignInOutcome::PasswordExpired),
        (user("newPasswordRequired: true"), SignInOutcome::NewPasswordRequired),
        (user("rights: []"), SignInOutcome::Accepted { rights: vec![] }),
        ("serviceUsers: []".to_owned(), SignInOutcome::UnknownUser),
        (USER.to_owned(), accepted()),
    ] {
        world.site.causes(&causes);
        world.signed_in(outcome).await;
    }
}

#[tokio::test]
async fn a_reboot_for_a_change_is_told_from_a_plain_one_and_the_counter_goes_on() {
    let mut world = World::new(USER).await;
    world.site.start();
    let first = world.signed_in(accepted()).await;
    for (token, for_change, absence) in [("a", true, Absence::RebootingForChange), ("b", false, Absence::Offline)] {
        world.site.causes(&format!("{USER}reboot: {{token: {token}, outageSeconds: 1, forChange: {for_change}}}\n"));
        world.view("the outage", |view| view.state == SessionState::Away(absence)).await;
        world.signed_in(accepted()).await;
    }
    let last = world.link.view(&world.key).unwrap();
    assert!(last.session == first.session + 2 && last.facts.started > first.facts.started);
}

#[tokio::test]
async fn an_enrolment_withdrawn_by_com_is_taken_up_again_when_it_is_allowed() {
    let mut world = World::new(USER).await;
    world.site.start();
    world.signed_in(accepted()).await;
    *world.directory.enrolment.lock().unwrap() = Some("another".into());
    world.link.forget(&world.key);
    world.site.logged("AlreadyEnrolled").await;
    *world.directory.enrolment.lock().unwrap() = None;
    world.signed_in(accepted()).await;
    assert!(world.directory.enrolment.lock().unwrap().is_some());
}
