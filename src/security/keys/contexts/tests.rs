use std::sync::Mutex;

use tinsmith_lwm2m::{Access, Identity, Role};
use tinsmith_seal::Key as SealingKey;
use tinsmith_store::{MemoryStore, Store};

use super::*;
use crate::context::tests::context;
use crate::rule::Proof;
use crate::rule::tests::rule;
use crate::table::tests::entry;

async fn keys(store: &Arc<dyn Store>, numbers: u8) -> Keys {
    let seal = |first: u8| Arc::new(SealingKey::new(&[first; 32])) as Arc<dyn Seal>;
    let seals = (seal(1), seal(numbers));
    let opened = Keys::open_with(Arc::clone(store), seals, false).await;
    opened.unwrap()
}

fn store() -> Arc<dyn Store> {
    Arc::new(MemoryStore::default())
}

fn oscore(id: &[u8]) -> Identity {
    Identity::Oscore(id.to_vec())
}

async fn commit(store: &Arc<dyn Store>, ops: Vec<Op>) {
    let batch = Batch {
        expect: Vec::new(),
        ops,
    };
    store.commit(batch).await.unwrap();
}

fn start_of(keys: &Keys, id: &[u8]) -> OscoreStart {
    keys.contexts.shown(id).unwrap().start.clone()
}

#[tokio::test]
async fn an_id_is_of_one_device() {
    let store = store();
    let first = keys(&store, 2).await;
    first.add_context(context(b"d", "pump-1")).await.unwrap();
    let exists = Err(KeyError::Exists("oscore:64".into()));
    let other = Context {
        purpose: Purpose::Bootstrap,
        ..context(b"d", "pump-2")
    };
    assert_eq!(first.add_context(other).await, exists);
    let pattern = first.add_context(context(b"e", "pump-*")).await;
    assert!(matches!(pattern, Err(KeyError::Entry(_))));
    // What is called the same can't be there twice, of whatever kind.
    let taken = first.add(entry("oscore:64", "clock")).await;
    assert_eq!(taken, exists);
    first.add_context(context(b"e", "pump-1")).await.unwrap();
    assert_eq!(first.remove_context("oscore:65").await, Ok(true));
    assert_eq!(first.remove_context("oscore:65").await, Ok(false));

    let second = keys(&store, 2).await;
    assert_eq!(second.contexts.page("", 9), [context(b"d", "pump-1")]);
    assert_eq!(second.contexts.page("oscore:64", 9), []);
    assert_eq!(start_of(&second, b"d"), OscoreStart::Fresh);
}

#[tokio::test]
async fn a_name_with_a_context_is_for_nobody_else() {
    let store = store();
    let keys = keys(&store, 2).await;
    assert!(keys.may_be(&Identity::None, "pump-1"));
    keys.add_context(context(b"d", "pump-1")).await.unwrap();
    keys.add(entry("all", "*")).await.unwrap();
    keys.add(entry("own", "pump-1")).await.unwrap();
    let many = rule(Proof::RawKey([1; 32]), "pump-*");
    keys.add_rule(many).await.unwrap();
    let psk = |name: &str| Identity::Psk(name.as_bytes().to_vec());
    for (identity, name, expected) in [
        (oscore(b"d"), "pump-1", true),
        (oscore(b"d"), "pump-2", false),
        (oscore(b"e"), "pump-1", false),
        (Identity::None, "pump-1", false),
        (psk("all"), "pump-1", false),
        (psk("all"), "pump-2", true),
        (psk("own"), "pump-1", true),
        (Identity::RawKey([1; 32]), "pump-1", false),
        (Identity::RawKey([1; 32]), "pump-2", true),
    ] {
        assert_eq!(
            keys.may_be(&identity, name),
            expected,
            "{identity} as {name}"
        );
    }
    assert!(!keys.may_bootstrap(&oscore(b"d"), "pump-1"));
    for (id, role, expected) in [
        (b"d", Role::Management, Some("pump-1")),
        (b"d", Role::Bootstrap, None),
        (b"e", Role::Management, None),
    ] {
        let name = keys.name_of(&oscore(id), role);
        assert_eq!(name.as_deref(), expected);
    }
}

#[tokio::test]
async fn only_who_has_something_comes_in_where_that_is_asked_for() {
    let store = store();
    let seal: Arc<dyn Seal> = Arc::new(SealingKey::new(&[1; 32]));
    let keys = Keys::open(store, seal, true).await.unwrap();
    keys.add_context(context(b"d", "pump-1")).await.unwrap();
    assert!(keys.may_be(&oscore(b"d"), "pump-1"));
    assert!(!keys.may_be(&Identity::None, "clock"));
}

#[tokio::test]
async fn keys_that_come_again_go_on_with_their_numbers() {
    let store = store();
    let first = keys(&store, 2).await;
    let revoked: Arc<Mutex<Vec<String>>> = Arc::default();
    let told = Arc::clone(&revoked);
    first.on_revoke_context(Box::new(move |endpoint, _| {
        told.lock().unwrap().push(endpoint.to_owned());
    }));
    first.add_context(context(b"d", "pump-1")).await.unwrap();
    let shown = first.contexts.shown(b"d").unwrap();
    let op = first.record(&shown, b"used").unwrap();
    commit(&store, vec![op]).await;
    assert_eq!(first.remove_context("oscore:64").await, Ok(true));
    assert!(first.context(b"d").is_none());
    assert_eq!(*revoked.lock().unwrap(), ["pump-1"]);
    first.add_context(context(b"d", "pump-1")).await.unwrap();
    let used = OscoreStart::Stored(b"used".to_vec());
    assert_eq!(start_of(&first, b"d"), used);
    let again = first.contexts.shown(b"d").unwrap();
    assert!(!Arc::ptr_eq(&shown, &again));
    let second = keys(&store, 2).await;
    assert_eq!(start_of(&second, b"d"), used);
    // Other keys are other keys.
    assert_eq!(second.remove_context("oscore:64").await, Ok(true));
    let mut other = context(b"d", "pump-1");
    other.secret[0] ^= 1;
    second.add_context(other).await.unwrap();
    assert_eq!(start_of(&second, b"d"), OscoreStart::Fresh);
}

#[tokio::test]
async fn after_a_restored_backup_nobody_knows_what_was_used() {
    let store = store();
    let first = keys(&store, 2).await;
    first.add_context(context(b"d", "pump-1")).await.unwrap();
    let second = keys(&store, 3).await;
    assert_eq!(start_of(&second, b"d"), OscoreStart::Lost);
}

#[tokio::test]
async fn a_new_context_takes_the_place_of_the_old_when_it_is_used() {
    let store = store();
    let keys = keys(&store, 2).await;
    let issue = |n: u8| keys.issue_oscore(5, "pump-1", [n; 32]).unwrap();
    let first = issue(1);
    assert_eq!(first.sender, [1; 4]);
    commit(&store, first.ops).await;
    let identity = oscore(&first.sender);
    assert!(keys.may_be(&identity, "pump-1") && !keys.may_be(&Identity::None, "pump-1"));
    let shown = keys.contexts.shown(&first.sender).unwrap();
    let ops = keys.registers(&identity, "pump-1");
    assert_eq!(ops.len(), 1);
    commit(&store, ops).await;
    let same = keys.contexts.shown(&first.sender).unwrap();
    assert!(Arc::ptr_eq(&shown, &same), "its numbers go on");
    // Those that were not used go when another is made, those that were when it is used.
    let second = issue(2);
    commit(&store, second.ops).await;
    let third = issue(3);
    commit(&store, third.ops).await;
    assert!(!keys.may_be(&oscore(&second.sender), "pump-1"));
    assert!(keys.may_be(&oscore(&first.sender), "pump-1"));
    assert!(keys.registers(&identity, "pump-1").is_empty());
    let ops = keys.registers(&oscore(&third.sender), "pump-1");
    commit(&store, ops).await;
    assert!(!keys.may_be(&identity, "pump-1"));
    let kept: Vec<_> = keys.contexts.page("", 9);
    let reread = super::tests::keys(&store, 2).await;
    assert_eq!(reread.contexts.page("", 9), kept);
    assert_eq!((kept.len(), kept[0].origin), (1, Origin::Used));
    assert_eq!(
        store
            .load(tinsmith_store::Kind::OSCORE)
            .await
            .unwrap()
            .len(),
        1
    );
    // A pre-shared key takes its place, and the other way round.
    let psk = keys.issue(5, "pump-1", [4; 32]).unwrap();
    commit(&store, psk.ops).await;
    let psk = Identity::Psk(psk.identity.into_bytes());
    commit(&store, keys.registers(&psk, "pump-1")).await;
    assert!(keys.may_be(&psk, "pump-1") && !keys.may_be(&oscore(&third.sender), "pump-1"));
    let fourth = issue(5);
    commit(&store, fourth.ops).await;
    commit(&store, keys.registers(&oscore(&fourth.sender), "pump-1")).await;
    assert!(!keys.may_be(&psk, "pump-1"));
    assert!(keys.may_be(&oscore(&fourth.sender), "pump-1"));
}

#[tokio::test]
async fn ids_that_are_made_are_not_anothers() {
    let store = store();
    let keys = keys(&store, 2).await;
    keys.add_context(context(&[7; 4], "clock")).await.unwrap();
    let issued = keys.issue_oscore(5, "pump-1", [7; 32]).unwrap();
    assert_eq!(issued.sender, [7, 7, 7, 8]);
    assert!(keys.issue_oscore(5, "pump-*", [8; 32]).is_err());
}
