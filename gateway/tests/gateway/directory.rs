//! A directory in memory that counts its writes.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use gateway::{Candidate, Credentials, Directory, DirectoryError, Registered, SystemEntry};
use model::ids::{CustomerId, SystemKey};
use model::secret::Secret;

use crate::world::CODE;

#[derive(Default)]
pub struct TestDirectory {
    pub systems: Mutex<HashMap<SystemKey, SystemEntry>>,
    pub passwords: Mutex<HashMap<SystemKey, Credentials>>,
    pub registrations: Mutex<HashMap<SystemKey, (Candidate, Registered)>>,
    /// How a new system stands once it is registered; waiting where `None`.
    pub policy: Mutex<Option<Registered>>,
    pub writes: AtomicUsize,
    /// Enrolments that are recorded and that this replica does not see yet.
    pub ahead: Mutex<HashMap<SystemKey, String>>,
    /// How often it was asked to look again.
    pub looks: AtomicUsize,
    pub unavailable: AtomicBool,
}

impl TestDirectory {
    pub fn change(&self, key: &SystemKey, change: impl FnOnce(&mut SystemEntry)) {
        change(self.systems.lock().unwrap().get_mut(key).unwrap());
    }

    pub fn set_password(&self, key: &SystemKey, password: &str) {
        let credentials = Credentials { user: "COMAdmin".into(), password: Secret::new(password) };
        self.passwords.lock().unwrap().insert(key.clone(), credentials);
    }
}

#[async_trait]
impl Directory for TestDirectory {
    fn customer_code(&self, customer: &CustomerId) -> Option<Secret> {
        (customer.as_str() == "acme").then(|| Secret::new(CODE))
    }

    fn system(&self, key: &SystemKey) -> Option<SystemEntry> {
        self.systems.lock().unwrap().get(key).cloned()
    }

    async fn look_again(&self, key: &SystemKey, enrolment_id: &str) -> bool {
        self.looks.fetch_add(1, Ordering::SeqCst);
        let found = self.ahead.lock().unwrap().get(key).is_some_and(|id| id == enrolment_id);
        if found {
            self.change(key, |entry| entry.enrolment_id = Some(enrolment_id.to_owned()));
        }
        found
    }

    async fn record_enrolment(&self, key: &SystemKey, enrolment_id: &str) -> Result<(), DirectoryError> {
        if self.unavailable.load(Ordering::SeqCst) {
            return Err(DirectoryError::Unavailable("switched off by the test".into()));
        }
        let mut systems = self.systems.lock().unwrap();
        let entry = systems.get_mut(key).ok_or(DirectoryError::Unknown)?;
        if !entry.enrolment_allowed {
            return Err(DirectoryError::AlreadyEnrolled);
        }
        self.writes.fetch_add(1, Ordering::SeqCst);
        entry.enrolment_allowed = false;
        entry.enrolment_id = Some(enrolment_id.to_owned());
        Ok(())
    }

    fn registration(&self, key: &SystemKey) -> Option<Registered> {
        self.registrations.lock().unwrap().get(key).map(|(_, registered)| *registered)
    }

    async fn register(&self, key: &SystemKey, candidate: &Candidate) -> Result<Registered, DirectoryError> {
        if self.unavailable.load(Ordering::SeqCst) {
            return Err(DirectoryError::Unavailable("switched off by the test".into()));
        }
        self.writes.fetch_add(1, Ordering::SeqCst);
        let since = jiff::Timestamp::now();
        let registered = self.policy.lock().unwrap().unwrap_or(Registered::Waiting { since });
        self.registrations.lock().unwrap().insert(key.clone(), (candidate.clone(), registered));
        Ok(registered)
    }

    async fn credentials(&self, key: &SystemKey) -> Result<Option<Credentials>, DirectoryError> {
        if self.unavailable.load(Ordering::SeqCst) {
            return Err(DirectoryError::Unavailable("switched off by the test".into()));
        }
        Ok(self.passwords.lock().unwrap().get(key).cloned())
    }
}

impl TestDirectory {
    /// The enrolment id of `hq`.
    pub fn system_id(&self) -> Option<String> {
        self.system(&crate::world::key("hq")).unwrap().enrolment_id
    }
}
