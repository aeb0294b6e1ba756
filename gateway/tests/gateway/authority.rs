//! An authority that comes from elsewhere, as on a cluster from a Secret.

use gateway::Authority;

use crate::world::World;

#[tokio::test]
async fn an_authority_from_pem_signs_what_its_original_accepts() {
    let original = Authority::create().unwrap();
    let copy = Authority::from_pem(original.certificate_pem().as_bytes(), original.key_pem().expose().as_bytes()).unwrap();
    assert_eq!(copy.certificate_pem(), original.certificate_pem());
    let first = World::with(|options| options.authority = Some(original)).await;
    let second = World::with(|options| options.authority = Some(copy)).await;
    let credential = first.enrolled("hq").await;
    // Replicas share the directory; here the second is told what the first recorded.
    let id = first.directory.system_id();
    second.directory.change(&crate::world::key("hq"), |entry| entry.enrolment_id = id);
    second.connected(&credential, 1).await;
}

#[test]
fn rubbish_is_no_authority() {
    let authority = Authority::create().unwrap();
    let error = Authority::from_pem(b"rubbish", authority.key_pem().expose().as_bytes()).unwrap_err().to_string();
    assert!(error.contains("the authority's certificate is damaged"), "{error}");
    let error = Authority::from_pem(authority.certificate_pem().as_bytes(), &[0xff, 0xfe]).unwrap_err().to_string();
    assert!(error.contains("the authority's key is damaged"), "{error}");
}
