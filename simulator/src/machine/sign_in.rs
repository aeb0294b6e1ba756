//! COM signs in as a service user: the system's side.

use model::account::SignInOutcome;
use protocol::message::SignInResult;
use protocol::scram::{ClientFirst, ScramError, Server, Verifier};

use crate::accounts::{self, Standing};
use crate::disk::state::Account;
use crate::log::Kind;
use crate::machine::Machine;

/// A sign-in that waits for its proof.
#[derive(Debug)]
pub struct Exchange {
    user: String,
    verifier: Verifier,
    server: Server,
}

/// What comes of a step.
#[derive(Debug)]
pub enum SignInStep {
    /// The peer must prove that it knows the password.
    Challenge {
        /// Continues with the proof.
        exchange: Exchange,
        /// SCRAM server-first message.
        scram: String,
    },
    /// Decided.
    Decided {
        /// Name it was tried under.
        user: String,
        /// The decision.
        result: SignInResult,
        /// What the next sign-in under that name would meet: when it becomes another, COM should try again.
        standing: Standing,
    },
}

impl Machine {
    /// First step: a name.
    ///
    /// # Errors
    /// What came is no SCRAM message.
    pub fn begin_sign_in(&mut self, scram: &str) -> Result<SignInStep, ScramError> {
        let first = ClientFirst::parse(scram)?;
        let user = first.user.clone();
        match self.standing(&user) {
            Standing::Refused(outcome) => Ok(self.refuse(user, outcome)),
            Standing::Open { verifier, .. } => {
                let (server, scram) = Server::start(first, verifier.clone());
                Ok(SignInStep::Challenge { exchange: Exchange { user, verifier, server }, scram })
            }
        }
    }

    /// Second step: the proof. Wrong passwords are counted on the disk before they are answered, so that pulling the plug does not help to guess.
    ///
    /// # Errors
    /// What came is no SCRAM message of this exchange.
    pub fn prove(&mut self, exchange: Exchange, scram: &str) -> Result<SignInStep, ScramError> {
        let Exchange { user, verifier, server } = exchange;
        // Things may have changed since the challenge: what counts is how the account stands now.
        let (now_stored, right) = match self.standing(&user) {
            Standing::Refused(outcome) => return Ok(self.refuse(user, outcome)),
            Standing::Open { verifier, right } => (verifier, right),
        };
        if now_stored != verifier {
            // The password was changed since: the proof is of the old one, but nobody guessed.
            return Ok(self.decide(user, SignInOutcome::WrongPassword, None));
        }
        match server.verify(scram) {
            Ok(proof) => {
                self.forget_wrong_passwords(&user);
                Ok(self.decide(user, right, Some(proof)))
            }
            Err(ScramError::WrongProof) => {
                self.count_wrong_password(&user);
                Ok(self.decide(user, SignInOutcome::WrongPassword, None))
            }
            Err(error) => Err(error),
        }
    }

    fn count_wrong_password(&mut self, user: &str) {
        let (lockout, now) = (self.inputs.causes.lockout.clone(), self.clock.now());
        let mut account = self.state.accounts.get(user).cloned().unwrap_or_default();
        let locked = accounts::count_wrong_password(&mut account, &lockout, now);
        if locked {
            let text = format!("service user {user:?} locked for {} s after {} wrong passwords", lockout.seconds, account.wrong_attempts);
            self.log.line(Kind::Security, text);
        }
        self.remember_account(user, account);
    }

    fn forget_wrong_passwords(&mut self, user: &str) {
        let mut account = self.state.accounts.get(user).cloned().unwrap_or_default();
        if accounts::forget_wrong_passwords(&mut account) {
            self.remember_account(user, account);
        }
    }

    /// On a disk that cannot be written it counts at least until the next start.
    fn remember_account(&mut self, user: &str, account: Account) {
        let saved = self.change(|state| {
            state.accounts.insert(user.to_owned(), account.clone());
        });
        if let Err(error) = saved {
            self.log.line(Kind::Error, error);
            self.state.accounts.insert(user.to_owned(), account);
        }
    }

    fn refuse(&self, user: String, outcome: SignInOutcome) -> SignInStep {
        let standing = Standing::Refused(outcome.clone());
        self.decided(user, SignInResult { outcome, scram: None }, standing)
    }

    fn decide(&self, user: String, outcome: SignInOutcome, scram: Option<String>) -> SignInStep {
        let standing = self.standing(&user);
        self.decided(user, SignInResult { outcome, scram }, standing)
    }

    fn decided(&self, user: String, result: SignInResult, standing: Standing) -> SignInStep {
        self.log.line(Kind::Security, format_args!("service user {user:?}: {}", words(&result.outcome)));
        SignInStep::Decided { user, result, standing }
    }
}

fn words(outcome: &SignInOutcome) -> String {
    match outcome {
        SignInOutcome::Accepted { rights } => format!("signed in with {} of the rights COM needs", rights.len()),
        SignInOutcome::WrongPassword => "refused, wrong password".to_owned(),
        SignInOutcome::UnknownUser => "refused, there is no such service user".to_owned(),
        SignInOutcome::DisabledByAdministrator => "refused, disabled by the administrator".to_owned(),
        SignInOutcome::Disabled => "refused, the account is disabled or has no password".to_owned(),
        SignInOutcome::LockedTemporarily => "refused, locked temporarily".to_owned(),
        SignInOutcome::PasswordExpired => "refused, the password has expired".to_owned(),
        SignInOutcome::NewPasswordRequired => "refused, a new password is required".to_owned(),
        SignInOutcome::TooManySessions => "refused, too many applications are signed in".to_owned(),
    }
}
