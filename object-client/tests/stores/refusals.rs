//! What stores refuse, and what it is called here.

use model::secret::Secret;
use object_client::StoreError;

use crate::store::Store;
use crate::{against_every_store, seaweedfs as store_of_others};

against_every_store!(wrong_credentials_are_told_apart_from_a_store_that_is_down, a_missing_bucket_is_named_whatever_is_asked,);

async fn wrong_credentials_are_told_apart_from_a_store_that_is_down(store: &Store) {
    let wrong = store.client_with(|options| options.secret_access_key = Secret::new("another"));
    let unknown = store.client_with(|options| options.access_key_id = "nobody".into());
    for client in [&wrong, &unknown] {
        for error in [
            client.probe().await.unwrap_err(),
            client.probe_write().await.unwrap_err(),
            client.read("a", 1).await.unwrap_err(),
            client.write("a", vec![]).await.unwrap_err(),
            client.write_new("a", vec![]).await.unwrap_err(),
            client.stored("a").await.unwrap_err(),
            client.begin_upload("a", None).await.unwrap_err(),
            client.find_uploads("").await.unwrap_err(),
            client.delete(&["a".to_owned()]).await.unwrap_err(),
            client.list("", |_, _| ()).await.unwrap_err(),
        ] {
            assert_eq!((error.reason(), error.is_transient()), ("StoreForbidden", false), "{error}");
            assert!(!error.to_string().contains("another") && !error.to_string().contains("secret-of"), "{error}");
        }
    }
}

async fn a_missing_bucket_is_named_whatever_is_asked(store: &Store) {
    let client = store.client_with(|options| options.bucket = "no-such-bucket".into());
    for error in [
        client.probe().await.unwrap_err(),
        client.probe_write().await.unwrap_err(),
        client.read("a", 1).await.unwrap_err(),
        client.write("a", vec![]).await.unwrap_err(),
        client.write_new("a", vec![]).await.unwrap_err(),
        client.stored("a").await.unwrap_err(),
        client.begin_upload("a", None).await.unwrap_err(),
        client.find_uploads("").await.unwrap_err(),
        client.delete(&["a".to_owned()]).await.unwrap_err(),
        client.list("", |_, _| ()).await.unwrap_err(),
    ] {
        assert_eq!(error, StoreError::NoBucket("no-such-bucket".into()));
    }
}

/// The embedded store has no users with fewer rights.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_may_only_read_is_told_so() {
    let store = store_of_others::start().await;
    let (key, secret) = store_of_others::READER;
    store.client().write("a", b"x".to_vec()).await.unwrap();
    let reader = store.client_with(|options| {
        options.access_key_id = key.into();
        options.secret_access_key = Secret::new(secret);
    });
    assert!(reader.probe().await.unwrap().may_list);
    assert_eq!(reader.read("a", 1).await, Ok(Some(b"x".to_vec())));
    for error in [
        reader.probe_write().await.unwrap_err(),
        reader.write("a", vec![]).await.unwrap_err(),
        reader.write_new("b", vec![]).await.unwrap_err(),
        reader.begin_upload("a", None).await.unwrap_err(),
        reader.delete(&["a".to_owned()]).await.unwrap_err(),
    ] {
        assert_eq!(error.reason(), "StoreForbidden", "{error}");
    }
}
