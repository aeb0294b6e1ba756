#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use serde_json::json;

use super::{FixedTokens, ISSUER, ServiceAccountTokens, Tokens, URL_SAFE_NO_PAD, kept_in, random};
use crate::api::authorize::Bearer;
use crate::store::{Key, Store, Write};
use crate::user::User;
use base64::Engine as _;

const BUILDER: Bearer<'_> = Bearer { namespace: "tools", name: "builder", uid: "u1", pod: None };

async fn account(store: &Store, uid: &str) -> u64 {
    let key = Key::new("serviceaccounts", "tools", "builder");
    let value = json!({"metadata": {"name": "builder", "namespace": "tools", "uid": uid}});
    store.write(Write::Create { key, value }).await.unwrap().revision
}

#[test]
fn random_tokens_have_256_bits_and_differ() {
    let tokens: std::collections::BTreeSet<String> = (0..100).map(|_| random().unwrap()).collect();
    assert_eq!(tokens.len(), 100);
    assert!(tokens.iter().all(|token| URL_SAFE_NO_PAD.decode(token).unwrap().len() == 32));
}

#[test]
fn a_fixed_token_is_known_whole_or_not_at_all() {
    let tokens = FixedTokens::new().unwrap().with("right", User::admin()).with("other", User::new("ann", &[]));
    assert_eq!(tokens.user("right"), Some(User::admin()));
    assert_eq!(tokens.user("other").unwrap().name, "ann");
    for wrong in ["", "righ", "rightt", "Right", "right "] {
        assert_eq!(tokens.user(wrong), None, "{wrong:?}");
    }
}

#[test]
fn a_kept_token_stays_and_is_for_the_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = std::env::temp_dir().join(format!("tokens-{}", uuid::Uuid::new_v4()));
    let path = folder.join("token");
    let token = kept_in(&path).unwrap();
    assert_eq!(kept_in(&path).unwrap(), token);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::write(&path, "short\n").unwrap();
    let text = kept_in(&path).unwrap_err().to_string();
    assert!(text.contains(&path.display().to_string()) && text.contains("move it away"), "{text}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn an_issued_token_stands_for_its_service_account_until_it_ends() {
    let store = Store::in_memory();
    account(&store, "u1").await;
    let tokens = ServiceAccountTokens::for_this_process(store).unwrap();
    let (token, ends) = tokens.issue_at(1_000_000, &BUILDER, &[], 3600).unwrap();
    assert_eq!(ends, "1970-01-12T14:46:40Z");
    let user = tokens.user_at(1_000_000, &token).unwrap();
    assert_eq!(user, User::service_account("tools", "builder", "u1"));
    assert!(user.is_in("system:serviceaccounts:tools") && user.is_in("system:authenticated"));
    assert!(tokens.user_at(1_003_599, &token).is_some());
    assert!(tokens.user_at(1_003_600, &token).is_none(), "it has ended");
    assert!(tokens.user_at(999_999, &token).is_none(), "it has not begun");
}

#[tokio::test]
async fn a_changed_token_or_one_of_another_key_is_worth_nothing() {
    let store = Store::in_memory();
    account(&store, "u1").await;
    let tokens = ServiceAccountTokens::for_this_process(store.clone()).unwrap();
    let (token, _) = tokens.issue(&BUILDER, &[], 3600).unwrap();
    assert!(tokens.user(&token).is_some());
    let other = ServiceAccountTokens::for_this_process(store).unwrap();
    assert!(other.user(&token).is_none());

    let parts: Vec<&str> = token.split('.').collect();
    let mut claims: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    claims["exp"] = json!(i64::MAX);
    let forged = URL_SAFE_NO_PAD.encode(claims.to_string());
    let none = URL_SAFE_NO_PAD.encode(json!({"alg": "none"}).to_string());
    for wrong in [
        format!("{}.{forged}.{}", parts[0], parts[2]),
        format!("{none}.{forged}."),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}.{}.", parts[0], parts[1]),
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "ünïcode.x.y".to_owned(),
    ] {
        assert!(tokens.user(&wrong).is_none(), "{wrong}");
    }
}

#[tokio::test]
async fn a_token_dies_with_its_account_and_does_not_pass_to_a_later_one_of_the_same_name() {
    let store = Store::in_memory();
    let expected = account(&store, "u1").await;
    let tokens = ServiceAccountTokens::for_this_process(store.clone()).unwrap();
    let (token, _) = tokens.issue(&BUILDER, &[], 3600).unwrap();
    store.write(Write::Delete { key: Key::new("serviceaccounts", "tools", "builder"), expected }).await.unwrap();
    assert!(tokens.user(&token).is_none());
    account(&store, "u2").await;
    assert!(tokens.user(&token).is_none());
}

#[tokio::test]
async fn a_token_for_another_audience_does_not_sign_in_here() {
    let store = Store::in_memory();
    account(&store, "u1").await;
    let tokens = ServiceAccountTokens::for_this_process(store).unwrap();
    let audience = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let (vault, _) = tokens.issue(&BUILDER, &audience(&["vault"]), 3600).unwrap();
    let (both, _) = tokens.issue(&BUILDER, &audience(&["vault", ISSUER]), 3600).unwrap();
    assert!(tokens.user(&vault).is_none());
    assert!(tokens.user(&both).is_some());
}

#[test]
fn a_lifetime_below_ten_minutes_is_refused() {
    let tokens = ServiceAccountTokens::for_this_process(Store::in_memory()).unwrap();
    for seconds in [-1, 0, 599, (1 << 32) + 1] {
        assert_eq!(tokens.issue(&BUILDER, &[], seconds).unwrap_err().code, 400);
    }
}

#[tokio::test]
async fn a_token_bound_to_a_pod_ends_with_it_and_says_which_it_is() {
    let store = Store::in_memory();
    account(&store, "u1").await;
    let key = Key::new("pods", "tools", "p");
    let pod = |uid: &str| json!({"metadata": {"name": "p", "namespace": "tools", "uid": uid}});
    let expected = store.write(Write::Create { key: key.clone(), value: pod("p1") }).await.unwrap().revision;
    let tokens = ServiceAccountTokens::for_this_process(store.clone()).unwrap();
    let (token, _) = tokens.issue(&Bearer { pod: Some(("p", "p1")), ..BUILDER }, &[], 3600).unwrap();
    let user = tokens.user(&token).unwrap();
    assert_eq!(user.extra["authentication.kubernetes.io/pod-uid"], ["p1"]);
    store.write(Write::Delete { key: key.clone(), expected }).await.unwrap();
    assert!(tokens.user(&token).is_none());
    store.write(Write::Create { key, value: pod("p2") }).await.unwrap();
    assert!(tokens.user(&token).is_none(), "another pod of the same name is another pod");
}
