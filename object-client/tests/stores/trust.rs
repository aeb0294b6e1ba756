//! Whose certificates are trusted.

use object_client::StoreError;

use crate::embedded;

#[tokio::test]
async fn a_store_with_a_certificate_of_somebody_else_is_not_talked_to() {
    let store = embedded::start().await;
    let (other, _, _) = embedded::certificates();
    for authority in [Some(other), None] {
        let client = store.client_with(|options| options.authority = authority);
        let error = client.probe().await.unwrap_err();
        assert!(matches!(&error, StoreError::Unreachable(text) if text.contains("certificate")), "{error}");
    }
    store.client().probe().await.unwrap();
}

#[tokio::test]
async fn one_of_several_authorities_is_enough() {
    let store = embedded::start().await;
    let (other, _, _) = embedded::certificates();
    let client = store.client_with(|options| options.authority = Some(format!("{other}\n{}", options.authority.as_deref().unwrap())));
    client.probe_write().await.unwrap();
}
