//! Whole objects.

use object_client::{ObjectClient, StoreError, Written};

use crate::against_every_store;
use crate::store::{PREFIX, Store};

against_every_store!(
    objects_are_written_read_and_deleted,
    listings_have_every_page_in_order,
    an_object_is_written_once,
    one_of_many_writers_wins,
    a_probe_leaves_nothing_behind,
);

async fn keys(client: &ObjectClient, prefix: &str) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    client.list(prefix, |key, size| found.push((key.to_owned(), size))).await.unwrap();
    found
}

async fn objects_are_written_read_and_deleted(store: &Store) {
    let client = store.client();
    let key = "backups/acme1/hq/20261122t021305z-zcerr8a69pru/manifest.json";
    assert_eq!(client.read(key, 100).await, Ok(None));
    assert_eq!(client.stored(key).await, Ok(None));
    client.write(key, b"first".to_vec()).await.unwrap();
    client.write(key, b"second one".to_vec()).await.unwrap();
    client.write("empty", vec![]).await.unwrap();
    assert_eq!(client.read(key, 10).await, Ok(Some(b"second one".to_vec())));
    assert_eq!(client.read("empty", 10).await, Ok(Some(vec![])));
    assert!(matches!(client.read(key, 9).await, Err(StoreError::TooLarge { size: 10, limit: 9, .. })));
    let stored = client.stored(key).await.unwrap().unwrap();
    assert_eq!(stored.size, 10);
    let checksum = archive::digest::Sha256::of(b"second one").to_base64();
    assert_eq!(stored.checksum, store.tells_checksums.then_some(checksum));
    // Keys lie below the prefix of the store, and only there.
    let whole_bucket = store.client_with(|options| options.prefix.clear());
    assert_eq!(whole_bucket.read(&format!("{PREFIX}{key}"), 10).await, Ok(Some(b"second one".to_vec())));
    let large = vec![7; 9 << 20];
    client.write("large", large.clone()).await.unwrap();
    assert!(client.read("large", large.len()).await.unwrap().unwrap() == large);
    let gone = [key.to_owned(), "never-there".to_owned(), "large".to_owned()];
    client.delete(&gone).await.unwrap();
    client.delete(&gone).await.unwrap();
    assert_eq!(keys(&client, "").await, [("empty".to_owned(), 0)]);
}

async fn listings_have_every_page_in_order(store: &Store) {
    let client = store.client();
    let names: Vec<String> = (0..1150).map(|number| format!("list/{number:04}-A.tar")).collect();
    let client = &client;
    let writes = names.chunks(50).map(|chunk| async move {
        for name in chunk {
            client.write(name, name.clone().into_bytes()).await.unwrap();
        }
    });
    futures::future::join_all(writes).await;
    for odd in ["list2/a b", "list2/a+b", "list2/a%20b", "list2/ä", "list2/a&<>\"'"] {
        client.write(odd, b"odd".to_vec()).await.unwrap();
    }
    let expected: Vec<(String, u64)> = names.iter().map(|name| (name.clone(), name.len() as u64)).collect();
    assert_eq!(keys(client, "list/").await, expected);
    assert_eq!(keys(client, "list/000").await, expected[..10]);
    assert_eq!(keys(client, "nothing/").await, []);
    let odd: Vec<String> = keys(client, "list2/").await.into_iter().map(|(key, _)| key).collect();
    assert_eq!(odd, ["list2/a b", "list2/a%20b", "list2/a&<>\"'", "list2/a+b", "list2/ä"]);
}

async fn an_object_is_written_once(store: &Store) {
    let client = store.client();
    assert_eq!(client.write_new("once", b"mine".to_vec()).await, Ok(Written::New));
    assert_eq!(client.write_new("once", b"mine".to_vec()).await, Ok(Written::SameThere));
    assert_eq!(client.write_new("once", b"his!".to_vec()).await, Ok(Written::OtherThere));
    assert_eq!(client.write_new("once", b"longer or shorter".to_vec()).await, Ok(Written::OtherThere));
    assert_eq!(client.read("once", 100).await, Ok(Some(b"mine".to_vec())));
}

async fn one_of_many_writers_wins(store: &Store) {
    let client = store.client();
    for round in 0..5 {
        let key = format!("race/{round}");
        let writers = (0..8).map(|number| client.write_new(&key, format!("writer {number}").into_bytes()));
        let results = futures::future::join_all(writers).await;
        let winners: Vec<usize> =
            results.iter().enumerate().filter(|(_, result)| **result == Ok(Written::New)).map(|(number, _)| number).collect();
        assert_eq!(winners.len(), 1, "{results:?}");
        assert_eq!(client.read(&key, 100).await, Ok(Some(format!("writer {}", winners[0]).into_bytes())));
    }
}

async fn a_probe_leaves_nothing_behind(store: &Store) {
    let client = store.client();
    assert!(client.probe().await.unwrap().may_list);
    client.probe_write().await.unwrap();
    assert_eq!(keys(&client, "").await, []);
}
