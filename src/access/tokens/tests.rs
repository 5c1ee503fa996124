use futures_executor::block_on;
use tinsmith_store::MemoryStore;

use super::*;

const DAY: u64 = 86_400_000;

fn named(name: &str, role: Role) -> Named {
    Named {
        name: name.to_owned(),
        role,
        expires: None,
    }
}

fn secret(byte: u8) -> Secret {
    Secret::new(&[byte; 32])
}

fn open(disk: &MemoryStore) -> Tokens {
    block_on(Tokens::open(Arc::new(disk.restart()))).unwrap()
}

#[test]
fn tokens_survive_a_restart_and_their_secrets_are_nowhere() {
    let disk = MemoryStore::new();
    let tokens = open(&disk);
    let made = block_on(tokens.make(7, &secret(1), named("ci", Role::Operator))).unwrap();
    assert_eq!((made.role, made.made, made.used), (Role::Operator, 7, None));
    for tokens in [tokens, open(&disk)] {
        let text = secret(1).reveal().to_owned();
        assert_eq!(tokens.open_with(8, &text).unwrap().1.name, "ci");
        for wrong in [secret(2).reveal(), "", &text[1..], &format!("{text} ")] {
            assert!(tokens.open_with(8, wrong).is_none());
        }
    }
    for (key, stored) in disk.records(Kind::TOKEN) {
        assert_eq!(key.id, secret(1).digest().0);
        let hex = "01".repeat(32);
        assert!(!String::from_utf8_lossy(&stored.bytes).contains(&hex));
        assert!(!stored.bytes.windows(8).any(|bytes| bytes == [1; 8]));
    }
}

#[test]
fn the_bytes_of_a_record() {
    let disk = MemoryStore::new();
    let tokens = open(&disk);
    let of = Named {
        expires: Some(9),
        ..named("ci", Role::Viewer)
    };
    block_on(tokens.make(7, &secret(1), of)).unwrap();
    let expected =
        b"\0\x01\xa5\x64name\x62ci\x64role\x66viewer\x64made\x07\x64used\xf6\x67expires\x09";
    assert_eq!(disk.records(Kind::TOKEN)[0].1.bytes, expected);
}

#[test]
fn an_expired_token_opens_nothing() {
    let tokens = open(&MemoryStore::new());
    let of = Named {
        expires: Some(DAY),
        ..named("short", Role::Admin)
    };
    block_on(tokens.make(0, &secret(1), of)).unwrap();
    assert!(tokens.has_admin(DAY - 1) && !tokens.has_admin(DAY));
    assert!(tokens.open_with(DAY - 1, secret(1).reveal()).is_some());
    assert!(tokens.open_with(DAY, secret(1).reveal()).is_none());
    assert!(tokens.of(DAY, &secret(1).digest()).is_none());
}

#[test]
fn names_are_unique_and_printable() {
    let tokens = open(&MemoryStore::new());
    block_on(tokens.make(0, &secret(1), named("a", Role::Admin))).unwrap();
    let again = block_on(tokens.make(0, &secret(2), named("a", Role::Viewer)));
    assert_eq!(again, Err(TokenError::Exists("a".into())));
    for wrong in ["", "a\nb", "\u{9b}", &"x".repeat(65)] {
        let made = block_on(tokens.make(0, &secret(3), named(wrong, Role::Viewer)));
        assert_eq!(made, Err(TokenError::Name), "{wrong:?}");
    }
}

#[test]
fn the_last_admin_stays() {
    let disk = MemoryStore::new();
    let tokens = open(&disk);
    block_on(tokens.make(0, &secret(1), named("first", Role::Admin))).unwrap();
    block_on(tokens.make(0, &secret(2), named("other", Role::Operator))).unwrap();
    let of = Named {
        expires: Some(DAY),
        ..named("short", Role::Admin)
    };
    block_on(tokens.make(0, &secret(3), of)).unwrap();
    let last = block_on(tokens.remove(1, "first"));
    assert_eq!(last, Err(TokenError::LastAdmin("first".into())));
    assert_eq!(
        block_on(tokens.remove(1, "nobody")),
        Err(TokenError::Unknown("nobody".into()))
    );
    block_on(tokens.make(0, &secret(4), named("second", Role::Admin))).unwrap();
    block_on(tokens.remove(1, "first")).unwrap();
    for tokens in [tokens, open(&disk)] {
        assert!(tokens.open_with(1, secret(1).reveal()).is_none());
        let names: Vec<String> = tokens.list().into_iter().map(|t| t.name).collect();
        assert_eq!(names, ["other", "second", "short"]);
    }
}

#[test]
fn a_use_is_written_once_an_hour() {
    let disk = MemoryStore::new();
    let tokens = open(&disk);
    block_on(tokens.make(0, &secret(1), named("ci", Role::Viewer))).unwrap();
    let before = disk.commits();
    for minute in 0..180 {
        let (_, token) = tokens
            .open_with(minute * 60_000, secret(1).reveal())
            .unwrap();
        assert_eq!(token.used, Some(minute * 60_000));
    }
    assert_eq!(disk.commits() - before, 3);
    assert_eq!(open(&disk).list()[0].used, Some(2 * USED_EVERY));
}

#[test]
fn what_was_not_stored_was_not_done() {
    let disk = MemoryStore::new();
    let tokens = open(&disk);
    for (byte, name) in [(1, "a"), (2, "b")] {
        block_on(tokens.make(0, &secret(byte), named(name, Role::Admin))).unwrap();
    }
    let failing = Arc::new(disk.restart().fail_after(disk.commits()));
    let tokens = block_on(Tokens::open(failing)).unwrap();
    assert!(block_on(tokens.make(0, &secret(3), named("c", Role::Viewer))).is_err());
    assert!(tokens.open_with(1, secret(3).reveal()).is_none());
    assert!(block_on(tokens.remove(0, "a")).is_err());
    assert!(tokens.open_with(1, secret(1).reveal()).is_some());
}

#[test]
fn what_can_not_be_read_opens_nothing_and_stays() {
    let disk = MemoryStore::new();
    let key = Key::new(Kind::TOKEN, secret(1).digest().0);
    for record in [&b"\0\x02\xa0"[..], b"\0\x01\xa0", b"\0"] {
        let batch = Batch::put(key.clone(), record.to_vec());
        disk.commit_now(&batch).unwrap();
        let tokens = open(&disk);
        assert!(tokens.open_with(0, secret(1).reveal()).is_none());
        assert!(tokens.list().is_empty());
        assert_eq!(disk.records(Kind::TOKEN)[0].1.bytes, record);
    }
}
