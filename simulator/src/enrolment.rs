//! From an enrolment code to a certificate, and from a certificate to the next one.

use std::time::Duration;

use model::secret::Secret;
use protocol::enrolment::{CertificateAnswer, EnrolmentRequest, RenewalRequest};
use protocol::{ENROL_PATH, RENEW_PATH, VERSION};
use rcgen::{CertificateParams, KeyPair};

use crate::connect::{ConnectError, Route};
use crate::disk::DiskError;
use crate::disk::identity::{Identity, IdentityFile};
use crate::inputs::Subscription;
use crate::log::Kind;
use crate::shared::Shared;

/// The certificate to connect with, enrolling where there is none that counts.
///
/// # Errors
/// The subscription is not complete, COM is not reachable, or it refused.
pub async fn certificate(shared: &Shared, subscription: &Subscription, timeout: Duration) -> Result<Identity, ConnectError> {
    let (current, now) = shared.with(|machine| (machine.identity().current.clone(), machine.clock().now())).await;
    match current {
        Some(identity) if identity.customer_id != subscription.customer_id || identity.system_id != subscription.system_id => {
            shared.line(Kind::Com, "the subscription is for another system than the certificate: enrolling again");
        }
        Some(identity) if identity.expires <= now => {
            shared.line(Kind::Com, format!("the certificate expired at {}: enrolling again", identity.expires));
        }
        Some(identity) => return Ok(identity),
        None => {}
    }
    enrol(shared, subscription, timeout).await
}

/// Proves the system by its enrolment code.
///
/// # Errors
/// There is no code, COM is not reachable, or it refused.
pub async fn enrol(shared: &Shared, subscription: &Subscription, timeout: Duration) -> Result<Identity, ConnectError> {
    let code = subscription.enrolment_code.clone().ok_or_else(|| {
        ConnectError::Subscription("the system must enrol, but the subscription has no file enrolmentCode; put the code there".to_owned())
    })?;
    let (key, certificate_request) = request(shared).await?;
    let system_id = subscription.system_id.clone();
    let (clock, facts) = shared.with(move |machine| (machine.clock().clone(), machine.facts(&system_id))).await;
    let route = Route::new(subscription.gateway.clone(), &subscription.authority, None, &clock, timeout)?;
    let mut body = EnrolmentRequest {
        protocol: VERSION,
        customer_id: subscription.customer_id.clone(),
        system_id: subscription.system_id.clone(),
        enrolment_code: code,
        certificate_request,
        system_name: Some(facts.system_name),
        profile: Some(facts.profile),
        version: Some(facts.version),
    };
    if body.check().is_err() {
        // Only for people to read: without it the system enrols just as well.
        body.system_name = None;
    }
    let answer = route.post(ENROL_PATH, &body).await?;
    keep(shared, subscription, key, answer, "enrolled").await
}

/// Asks for the next certificate with the current one.
///
/// # Errors
/// COM is not reachable, or it refused; the current certificate still counts.
pub async fn renew(shared: Shared, subscription: Subscription, current: Identity, timeout: Duration) -> Result<Identity, ConnectError> {
    let (key, certificate_request) = request(&shared).await?;
    let clock = shared.with(|machine| machine.clock().clone()).await;
    let own = Some((current.certificate.as_str(), &current.private_key));
    let route = Route::new(subscription.gateway.clone(), &subscription.authority, own, &clock, timeout)?;
    let answer = route.post(RENEW_PATH, &RenewalRequest { protocol: VERSION, certificate_request }).await?;
    keep(&shared, &subscription, key, answer, "certificate renewed").await
}

/// A key that is on the disk, and the certificate request for it. After a crash the same key asks again.
async fn request(shared: &Shared) -> Result<(Secret, String), ConnectError> {
    let failed = |error: rcgen::Error| ConnectError::Unusable { what: "the private key", why: error.to_string() };
    shared
        .with(move |machine| {
            let pair = match machine.identity().pending_key.as_ref().and_then(|key| KeyPair::from_pem(key.expose()).ok()) {
                Some(pair) => pair,
                None => {
                    let pair = KeyPair::generate().map_err(failed)?;
                    let pending_key = Some(Secret::new(pair.serialize_pem()));
                    let current = machine.identity().current.clone();
                    machine.set_identity(IdentityFile { current, pending_key })?;
                    pair
                }
            };
            let request = CertificateParams::default().serialize_request(&pair).and_then(|request| request.pem()).map_err(failed)?;
            Ok((Secret::new(pair.serialize_pem()), request))
        })
        .await
}

async fn keep(
    shared: &Shared,
    subscription: &Subscription,
    private_key: Secret,
    answer: CertificateAnswer,
    what: &'static str,
) -> Result<Identity, ConnectError> {
    let identity = Identity {
        customer_id: subscription.customer_id.clone(),
        system_id: subscription.system_id.clone(),
        private_key,
        certificate: answer.certificate,
        authority: answer.authority,
        renew_after: answer.renew_after,
        expires: answer.expires,
    };
    let kept = identity.clone();
    shared
        .with(move |machine| {
            let expires = kept.expires;
            machine.set_identity(IdentityFile { current: Some(kept), pending_key: None })?;
            machine.log().line(Kind::Com, format_args!("{what}; the certificate is good until {expires}"));
            Ok::<_, DiskError>(())
        })
        .await?;
    Ok(identity)
}
