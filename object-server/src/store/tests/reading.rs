use super::*;

/// A reader that took one piece of an object of several.
async fn half_read(fixture: &Fixture, key: &str) -> impl futures::Stream<Item = std::io::Result<Bytes>> + Unpin {
    let opened = fixture.store().bucket(BUCKET).unwrap().open(key).unwrap();
    let size = opened.record.size;
    let mut stream = Box::pin(super::super::outgoing::stream(opened, 0..size));
    assert!(!stream.next().await.unwrap().unwrap().is_empty());
    stream
}

async fn rest(stream: impl futures::Stream<Item = std::io::Result<Bytes>>) -> usize {
    stream.collect::<Vec<_>>().await.into_iter().map(|piece| piece.unwrap().len()).sum()
}

#[tokio::test]
async fn a_reader_gets_the_object_it_began_with_whatever_becomes_of_the_key() {
    let fixture = Fixture::new();
    let large = vec![7; 5 << 20];
    fixture.put("replaced", &large).await;
    fixture.put("deleted", &large).await;
    let (first, second) = (half_read(&fixture, "replaced").await, half_read(&fixture, "deleted").await);
    fixture.put("replaced", b"new").await;
    fixture.delete("deleted");
    assert_eq!(fixture.names("trash").len(), 2, "they wait for their readers");
    let left = large.len() - super::super::outgoing::PIECE as usize;
    assert_eq!((rest(first).await, rest(second).await), (left, left));
    assert_eq!(fixture.get("replaced").await.unwrap(), b"new");
    let begun = std::time::Instant::now();
    while !fixture.names("trash").is_empty() {
        assert!(begun.elapsed().as_secs() < 10, "nobody removes what nobody reads");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_empty_object_and_an_empty_range_are_empty() {
    let fixture = Fixture::new();
    fixture.put("empty", b"").await;
    assert_eq!(fixture.get("empty").await.unwrap(), b"");
    let opened = fixture.store().bucket(BUCKET).unwrap().open("empty").unwrap();
    assert_eq!((opened.record.size, opened.record.etag.as_str()), (0, "d41d8cd98f00b204e9800998ecf8427e"));
}

#[tokio::test]
async fn writers_of_one_key_leave_one_whole_object() {
    let fixture = Arc::new(Fixture::new());
    let writers: Vec<_> = (0..8_u8)
        .map(|writer| {
            let fixture = Arc::clone(&fixture);
            tokio::spawn(async move {
                for _ in 0..10 {
                    fixture.put("folder/contended", &vec![writer; 1000]).await;
                    fixture.delete("folder/contended");
                }
                fixture.put("folder/contended", &vec![writer; 1000]).await;
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let bytes = fixture.get("folder/contended").await.unwrap();
    assert!(bytes.len() == 1000 && bytes.iter().all(|byte| *byte == bytes[0]));
    assert_eq!(std::fs::read_dir(fixture.objects().join("folder")).unwrap().count(), 1);
}

#[tokio::test]
async fn neighbours_are_deleted_at_one_time_and_all_are_gone() {
    let fixture = Fixture::new();
    for _ in 0..40 {
        let keys: Vec<_> = (0..8).map(|number| format!("shared/folder/{number}")).collect();
        for key in &keys {
            fixture.put(key, b"x").await;
        }
        std::thread::scope(|scope| keys.iter().for_each(|key| drop(scope.spawn(|| fixture.delete(key)))));
        assert_eq!(fixture.keys(), Vec::<String>::new());
        assert_eq!(std::fs::read_dir(fixture.objects()).unwrap().count(), 0);
    }
}
