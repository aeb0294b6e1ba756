//! SCRAM-SHA-256 (RFC 5802, RFC 7677) without channel binding: a password is proved both ways and never sent.
//!
//! COM is the client, the system the server. Written here because no maintained crate does it over ring alone (`docs/decisions/`).
//! Names and passwords are used as they are: no SASLprep, so both sides must use the same bytes.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::secret::Secret;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

/// Iterations of new verifiers. RFC 7677 asks for at least 4096; a system may store more.
pub const ITERATIONS: u32 = 10_000;
/// Fewest iterations a client accepts.
pub const FEWEST_ITERATIONS: u32 = 4096;
/// Most iterations a client accepts, so that a peer cannot keep it busy.
pub const MOST_ITERATIONS: u32 = 600_000;

const GS2: &str = "n,,";

/// Why an exchange failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// Not what RFC 5802 allows here.
    #[error("the SCRAM message is not valid: {0}; see RFC 5802")]
    Malformed(&'static str),
    /// The client's proof does not fit the stored key.
    #[error("the proof is wrong; check the password")]
    WrongProof,
    /// The server could not prove that it knows the password.
    #[error("the system could not prove that it knows the password; what answers is not the system it claims to be")]
    WrongServerSignature,
}

/// What a server stores of a password: enough to verify it, not enough to use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verifier {
    /// Base64 of the salt.
    pub salt: String,
    /// Iterations of PBKDF2.
    pub iterations: u32,
    /// Base64 of StoredKey.
    pub stored_key: String,
    /// Base64 of ServerKey.
    pub server_key: String,
}

impl Verifier {
    /// Makes the verifier of a new password, with a random salt.
    pub fn new(password: &Secret) -> Self {
        let mut salt = [0u8; 16];
        fill(&mut salt);
        Self::with_salt(password, &salt, ITERATIONS)
    }

    /// Makes the verifier for a given salt.
    pub fn with_salt(password: &Secret, salt: &[u8], iterations: u32) -> Self {
        let salted = salted_password(password, salt, iterations);
        let client_key = mac(&salted, b"Client Key");
        Self {
            salt: STANDARD.encode(salt),
            iterations,
            stored_key: STANDARD.encode(digest::digest(&digest::SHA256, &client_key)),
            server_key: STANDARD.encode(mac(&salted, b"Server Key")),
        }
    }
}

/// A random nonce: 18 bytes in base64.
pub fn nonce() -> String {
    let mut bytes = [0u8; 18];
    fill(&mut bytes);
    STANDARD.encode(bytes)
}

fn fill(bytes: &mut [u8]) {
    SystemRandom::new().fill(bytes).expect("the operating system provides random numbers");
}

fn salted_password(password: &Secret, salt: &[u8], iterations: u32) -> [u8; 32] {
    let mut out = [0u8; 32];
    let iterations = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, password.expose().as_bytes(), &mut out);
    out
}

fn mac(key: &[u8], data: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data).as_ref().to_vec()
}

fn xor(left: &[u8], right: &[u8]) -> Vec<u8> {
    left.iter().zip(right).map(|(a, b)| a ^ b).collect()
}

/// Client, before the challenge.
#[derive(Debug)]
pub struct Client {
    nonce: String,
    first_bare: String,
    password: Secret,
}

/// Client, after its proof: waits for the server's.
#[derive(Debug)]
pub struct ClientVerifier {
    server_signature: Vec<u8>,
}

impl Client {
    /// Starts an exchange. Returns the client-first message.
    pub fn start(user: &str, password: Secret) -> (Self, String) {
        Self::start_with(user, password, nonce())
    }

    fn start_with(user: &str, password: Secret, nonce: String) -> (Self, String) {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        let first_bare = format!("n={user},r={nonce}");
        let message = format!("{GS2}{first_bare}");
        (Self { nonce, first_bare, password }, message)
    }

    /// Answers the challenge. Returns the client-final message. Costs the iterations the server asks for: call it off the event loop.
    ///
    /// # Errors
    /// A challenge that is not for this exchange or asks for too few or too many iterations.
    pub fn answer(self, server_first: &str) -> Result<(ClientVerifier, String), ScramError> {
        let mut parts = server_first.split(',');
        let server_nonce = field(parts.next(), "r=")?;
        let salt = decode(field(parts.next(), "s=")?)?;
        let iterations: u32 = field(parts.next(), "i=")?.parse().map_err(|_| ScramError::Malformed("iterations are no number"))?;
        if !server_nonce.starts_with(&self.nonce) || server_nonce.len() <= self.nonce.len() {
            return Err(ScramError::Malformed("the nonce does not continue ours"));
        }
        if !(FEWEST_ITERATIONS..=MOST_ITERATIONS).contains(&iterations) {
            return Err(ScramError::Malformed("iterations must be between 4096 and 600000"));
        }
        let salted = salted_password(&self.password, &salt, iterations);
        let client_key = mac(&salted, b"Client Key");
        let stored_key = digest::digest(&digest::SHA256, &client_key);
        let without_proof = format!("c=biws,r={server_nonce}");
        let auth_message = format!("{},{server_first},{without_proof}", self.first_bare);
        let proof = xor(&client_key, &mac(stored_key.as_ref(), auth_message.as_bytes()));
        let server_signature = mac(&mac(&salted, b"Server Key"), auth_message.as_bytes());
        Ok((ClientVerifier { server_signature }, format!("{without_proof},p={}", STANDARD.encode(proof))))
    }
}

impl ClientVerifier {
    /// Checks the server-final message.
    ///
    /// # Errors
    /// The server does not know the password.
    pub fn check(&self, server_final: &str) -> Result<(), ScramError> {
        let signature = decode(field(Some(server_final), "v=")?)?;
        if bool::from(signature.ct_eq(&self.server_signature)) { Ok(()) } else { Err(ScramError::WrongServerSignature) }
    }
}

/// Server side of one exchange.
#[derive(Debug)]
pub struct Server {
    verifier: Verifier,
    first_bare: String,
    server_first: String,
    nonce: String,
}

/// What a client-first message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFirst {
    /// The service user's name.
    pub user: String,
    bare: String,
    nonce: String,
}

impl ClientFirst {
    /// Reads a client-first message.
    ///
    /// # Errors
    /// Not a client-first message without channel binding.
    pub fn parse(message: &str) -> Result<Self, ScramError> {
        let bare = message.strip_prefix(GS2).ok_or(ScramError::Malformed("it must begin with n,,"))?;
        let mut parts = bare.split(',');
        let user = field(parts.next(), "n=")?.replace("=2C", ",").replace("=3D", "=");
        let nonce = field(parts.next(), "r=")?;
        if nonce.is_empty() || nonce.len() > 256 || user.len() > 256 {
            return Err(ScramError::Malformed("name or nonce is empty or too long"));
        }
        Ok(Self { user, bare: bare.to_owned(), nonce: nonce.to_owned() })
    }
}

impl Server {
    /// Starts the server side. Returns the server-first message.
    pub fn start(first: ClientFirst, verifier: Verifier) -> (Self, String) {
        Self::start_with(first, verifier, &nonce())
    }

    fn start_with(first: ClientFirst, verifier: Verifier, more: &str) -> (Self, String) {
        let nonce = format!("{}{more}", first.nonce);
        let server_first = format!("r={nonce},s={},i={}", verifier.salt, verifier.iterations);
        (Self { verifier, first_bare: first.bare, server_first: server_first.clone(), nonce }, server_first)
    }

    /// Checks the client's proof. Returns the server-final message.
    ///
    /// # Errors
    /// [`ScramError::WrongProof`] for a wrong password; anything else is a broken peer.
    pub fn verify(self, client_final: &str) -> Result<String, ScramError> {
        let (without_proof, proof) = client_final.rsplit_once(",p=").ok_or(ScramError::Malformed("there is no proof"))?;
        if without_proof != format!("c=biws,r={}", self.nonce) {
            return Err(ScramError::Malformed("channel binding or nonce do not fit"));
        }
        let proof = decode(proof)?;
        let stored_key = decode(&self.verifier.stored_key)?;
        let auth_message = format!("{},{},{without_proof}", self.first_bare, self.server_first);
        let client_key = xor(&proof, &mac(&stored_key, auth_message.as_bytes()));
        let candidate = digest::digest(&digest::SHA256, &client_key);
        if proof.len() != 32 || !bool::from(candidate.as_ref().ct_eq(&stored_key)) {
            return Err(ScramError::WrongProof);
        }
        let signature = mac(&decode(&self.verifier.server_key)?, auth_message.as_bytes());
        Ok(format!("v={}", STANDARD.encode(signature)))
    }
}

fn field<'a>(part: Option<&'a str>, name: &'static str) -> Result<&'a str, ScramError> {
    part.and_then(|text| text.strip_prefix(name)).ok_or(ScramError::Malformed("a field is missing or out of order"))
}

fn decode(text: &str) -> Result<Vec<u8>, ScramError> {
    STANDARD.decode(text).map_err(|_| ScramError::Malformed("a value is not base64"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";
    const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

    fn pencil() -> Secret {
        Secret::new("pencil")
    }

    #[test]
    fn the_client_says_what_rfc_7677_prints() {
        let (client, first) = Client::start_with("user", pencil(), "rOprNGfwEbeRWgbNEkqO".into());
        assert_eq!(first, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let (verifier, answer) = client.answer(SERVER_FIRST).unwrap();
        assert_eq!(answer, CLIENT_FINAL);
        verifier.check(SERVER_FINAL).unwrap();
        assert_eq!(verifier.check("v=AAAA"), Err(ScramError::WrongServerSignature));
    }

    #[test]
    fn the_server_says_what_rfc_7677_prints() {
        let verifier = Verifier::with_salt(&pencil(), &STANDARD.decode(SALT).unwrap(), 4096);
        let first = ClientFirst::parse("n,,n=user,r=rOprNGfwEbeRWgbNEkqO").unwrap();
        let (server, message) = Server::start_with(first, verifier, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
        assert_eq!(message, SERVER_FIRST);
        assert_eq!(server.verify(CLIENT_FINAL).unwrap(), SERVER_FINAL);
    }

    #[test]
    fn a_wrong_password_is_a_wrong_proof() {
        let verifier = Verifier::new(&pencil());
        let (client, first) = Client::start("CO,M=Admin", Secret::new("pen"));
        let parsed = ClientFirst::parse(&first).unwrap();
        assert_eq!(parsed.user, "CO,M=Admin");
        let (server, challenge) = Server::start(parsed, verifier);
        let (_, proof) = client.answer(&challenge).unwrap();
        assert_eq!(server.verify(&proof), Err(ScramError::WrongProof));
    }

    #[test]
    fn a_peer_cannot_ask_for_weak_or_endless_work_or_replay_a_challenge() {
        for (nonce, iterations) in [("n+", 1), ("n+", 100_000_000), ("n", 4096), ("x+", 4096)] {
            let (client, _) = Client::start_with("user", pencil(), "n".into());
            assert!(matches!(client.answer(&format!("r={nonce},s={SALT},i={iterations}")), Err(ScramError::Malformed(_))));
        }
    }
}
