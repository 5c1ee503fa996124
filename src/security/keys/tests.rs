use tinsmith_store::MemoryStore;

use super::*;
use crate::table::tests::entry;

fn key(first: u8) -> tinsmith_seal::Key {
    tinsmith_seal::Key::new(&[first; 32])
}

async fn keys(store: &Arc<dyn Store>) -> Keys {
    let seal: Arc<dyn Seal> = Arc::new(key(1));
    Keys::open(Arc::clone(store), seal, false).await.unwrap()
}

fn store() -> Arc<dyn Store> {
    Arc::new(MemoryStore::default())
}

fn psk(identity: &str) -> Identity {
    Identity::Psk(identity.as_bytes().to_vec())
}

async fn commit(store: &Arc<dyn Store>, ops: Vec<Op>) {
    let batch = Batch {
        expect: Vec::new(),
        ops,
    };
    store.commit(batch).await.unwrap();
}

fn identities(keys: &Keys) -> Vec<String> {
    let page = keys.table.page("", 100).into_iter();
    page.map(|entry| entry.identity).collect()
}

#[tokio::test]
async fn keys_are_there_after_a_restart_and_removed_ones_are_not() {
    let store = store();
    let first = keys(&store).await;
    first.add(entry("one", "pump-1")).await.unwrap();
    first.add(entry("two", "pump-2")).await.unwrap();
    let again = first.add(entry("one", "pump-3")).await;
    assert_eq!(again, Err(KeyError::Exists("one".into())));
    first.remove("two").await.unwrap();
    let unknown = first.remove("two").await;
    assert_eq!(unknown, Err(KeyError::Unknown("two".into())));
    let second = keys(&store).await;
    assert_eq!(second.table.page("", 9), [entry("one", "pump-1")]);
    // With another sealing key nothing opens, and nothing is lost.
    let seal: Arc<dyn Seal> = Arc::new(key(2));
    let other = Keys::open(store.clone(), seal, false).await.unwrap();
    assert_eq!(identities(&other), [""; 0]);
    assert_eq!(identities(&keys(&store).await), ["one"]);
}

#[tokio::test]
async fn a_new_key_takes_the_place_of_the_old_when_it_is_used() {
    let store = store();
    let keys = keys(&store).await;
    let revoked: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
    let told = Arc::clone(&revoked);
    keys.on_revoke(Box::new(move |entry| {
        told.lock().unwrap().push(entry.identity.clone());
    }));
    let first = keys.issue(0, "dev1", [1; 32]).unwrap();
    assert_eq!(first.identity, "dev1/01010101");
    commit(&store, first.ops).await;
    let ops = keys.registers(&psk(&first.identity), "dev1");
    assert_eq!(ops.len(), 1);
    commit(&store, ops).await;
    assert!(keys.registers(&psk(&first.identity), "dev1").is_empty());

    // The device bootstraps twice more before it registers: one of the new keys is left.
    let second = keys.issue(0, "dev1", [2; 32]).unwrap();
    commit(&store, second.ops).await;
    let third = keys.issue(0, "dev1", [3; 32]).unwrap();
    commit(&store, third.ops).await;
    assert_eq!(identities(&keys), [&*first.identity, &*third.identity]);
    assert!(keys.may_be(&psk(&first.identity), "dev1"));
    assert!(keys.may_be(&psk(&third.identity), "dev1"));
    assert!(!keys.may_be(&psk(&second.identity), "dev1"));

    let ops = keys.registers(&psk(&third.identity), "dev1");
    commit(&store, ops).await;
    assert_eq!(identities(&keys), [&*third.identity]);
    assert_eq!(*revoked.lock().unwrap(), [second.identity, first.identity]);
    assert_eq!(identities(&self::keys(&store).await), [third.identity]);
}

#[tokio::test]
async fn a_given_key_is_not_ended_by_a_bootstrap() {
    let store = store();
    let keys = keys(&store).await;
    keys.add(entry("mine", "dev1")).await.unwrap();
    let issued = keys.issue(0, "dev1", [1; 32]).unwrap();
    keys.registers(&psk(&issued.identity), "dev1");
    assert_eq!(identities(&keys), ["dev1/01010101", "mine"]);
}

#[tokio::test]
async fn who_has_no_key_stays_out_where_that_is_asked_for() {
    let seal: Arc<dyn Seal> = Arc::new(key(1));
    let keys = Keys::open(store(), seal, true).await.unwrap();
    assert!(!keys.may_be(&Identity::None, "dev1"));
    assert!(!keys.may_bootstrap(&Identity::None, "dev1"));
    let issued = keys.issue(0, "dev1", [1; 32]).unwrap();
    assert!(keys.may_be(&psk(&issued.identity), "dev1"));
    assert!(!keys.may_bootstrap(&psk(&issued.identity), "dev1"));
}

#[test]
fn an_identity_fits_whatever_the_name_is() {
    for name in ["a".to_owned(), "a".repeat(255), "ä".repeat(127)] {
        let identity = identity(&name, &[9; 16]);
        assert!(identity.len() <= crate::entry::MAX_IDENTITY);
        assert!(identity.ends_with("/09090909"));
    }
}
