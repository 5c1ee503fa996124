#[cfg(feature = "oscore")]
use lwm2m_objects::Objlnk;

use super::security::{MAX_PUBLIC, MAX_SECRET};
use super::*;
use crate::config::Factory;
use crate::store::journal::MAX_DATA;
use crate::text::Bytes;

fn factory() -> Accounts {
    let mut a = Accounts::EMPTY;
    assert!(a.reset(Factory::Bootstrap("coap://127.0.0.1:5683")));
    a
}

/// In the version of a record with long keys.
#[cfg(any(feature = "oscore", feature = "x509"))]
const LONG: u8 = if cfg!(feature = "x509") { 2 } else { 0 };

fn decoded(data: &[u8]) -> Option<Accounts> {
    let mut a = full();
    a.decode(data).then_some(a)
}

fn full() -> Accounts {
    let mut a = factory();
    a.create(0, 1).unwrap();
    a.set(
        &Path::resource(0, 1, 0),
        Value::String("coap://127.0.0.1:5783"),
    )
    .unwrap();
    a.set(&Path::resource(0, 1, 10), Value::Integer(7)).unwrap();
    a.create(1, 0).unwrap();
    a.set(&Path::resource(1, 0, 0), Value::Integer(7)).unwrap();
    a.set(&Path::resource(1, 0, 1), Value::Integer(300))
        .unwrap();
    a.set(&Path::resource(1, 0, 7), Value::String("U")).unwrap();
    a
}

#[test]
fn accounts_survive_the_journal() {
    let a = full();
    let mut buf = [0; MAX_DATA];
    let n = a.encode(&mut buf).unwrap();
    assert_eq!(decoded(&buf[..n]), Some(a));
    for short in 0..n {
        assert_ne!(decoded(&buf[..short]), Some(a));
    }
}

#[test]
fn the_largest_set_fits_a_record() {
    let mut a = Accounts::EMPTY;
    for i in 0..MAX_INSTANCES {
        let mut s = Security::new(i as u16);
        s.uri = Text::new(&"u".repeat(96)).unwrap();
        s.identity = Bytes::new(&[1; MAX_PUBLIC]).unwrap();
        s.server_key = s.identity;
        s.secret = Bytes::new(&[1; MAX_SECRET]).unwrap();
        #[cfg(feature = "x509")]
        {
            s.name = Text::new(&"n".repeat(64)).unwrap();
        }
        #[cfg(feature = "oscore")]
        {
            let mut context = Oscore::new(i as u16);
            context.secret = Bytes::new(&[1; 64]).unwrap();
            context.sender = Bytes::new(&[i as u8; 7]).unwrap();
            context.recipient = Bytes::new(&[9; 7]).unwrap();
            context.salt = Bytes::new(&[1; 32]).unwrap();
            context.has_context = Flag::Yes;
            context.context = Bytes::new(&[1; 32]).unwrap();
            s.oscore = context.id;
            a.oscore[i] = Some(context);
        }
        a.security[i] = Some(s);
        a.server[i] = Some(Server::new(i as u16));
    }
    let mut buf = [0; MAX_DATA];
    let n = a.encode(&mut buf).unwrap();
    assert_eq!(decoded(&buf[..n]), Some(a));
    for short in 0..n {
        assert_eq!(decoded(&buf[..short]), None, "{short}");
    }
}

#[test]
fn delete_spares_the_bootstrap_account() {
    let mut a = full();
    assert!(a.is_consistent());
    assert!(a.delete(&Path::ROOT));
    assert_eq!(a, factory());
    assert!(!a.is_consistent());
    assert!(!a.delete(&Path::object(3)));
    assert!(!a.delete(&Path::instance(0, 0)), "the bootstrap account");
    let mut a = full();
    assert!(a.delete(&Path::object(1)));
    assert!(a.server.iter().all(Option::is_none));
    assert_eq!(a.security.iter().flatten().count(), 2);
}

#[test]
fn a_management_account_may_be_written_over_the_bootstrap_account() {
    let before = factory();
    let mut a = before;
    a.create(0, 0).unwrap();
    a.set(
        &Path::resource(0, 0, 0),
        Value::String("coap://127.0.0.1:5783"),
    )
    .unwrap();
    a.set(&Path::resource(0, 0, 10), Value::Integer(7)).unwrap();
    a.keep_bootstrap_account(before.bootstrap());
    assert_eq!(
        a.bootstrap().map(|s| (s.id, s.uri)),
        before.bootstrap().map(|s| (1, s.uri))
    );
    let mut a = before;
    a.create(0, 4).unwrap();
    a.set(&Path::resource(0, 4, 1), Value::Boolean(true))
        .unwrap();
    a.keep_bootstrap_account(before.bootstrap());
    assert_eq!(a.bootstrap().map(|s| s.id), Some(4));
    assert_eq!(a.security.iter().flatten().count(), 1);
}

#[test]
fn a_server_without_security_is_inconsistent() {
    let mut a = full();
    a.create(1, 1).unwrap();
    a.set(&Path::resource(1, 1, 0), Value::Integer(8)).unwrap();
    assert!(!a.is_consistent());
    let mut a = full();
    a.set(&Path::resource(0, 1, 2), Value::Integer(0)).unwrap();
    assert!(!a.is_consistent(), "PSK without DTLS");
}

#[test]
fn short_ids_and_addresses_are_unique() {
    for (ids, hosts, good) in [
        ([7, 8], [1, 2], true),
        ([7, 8], [1, 1], false),
        ([7, 7], [1, 2], false),
    ] {
        let mut a = Accounts::EMPTY;
        for i in 0..2 {
            let uri = format!("coap://10.0.0.{}", hosts[i]);
            a.security[i] = Some(Security {
                uri: Text::new(&uri).unwrap(),
                short_id: ids[i],
                ..Security::new(i as u16)
            });
            a.server[i] = Some(Server {
                short_id: ids[i],
                ..Server::new(i as u16)
            });
        }
        a.security[2] = Some(Security {
            bootstrap: Flag::Yes,
            ..Security::new(2)
        });
        assert_eq!(a.is_consistent(), good, "{ids:?} {hosts:?}");
        // The last two of three.
        a.server.rotate_right(1);
        assert_eq!(a.is_consistent(), good, "{ids:?} {hosts:?}");
    }
}

#[test]
fn values_out_of_range_are_refused() {
    let mut a = full();
    for (path, value) in [
        (Path::resource(1, 0, 0), Value::Integer(0)),
        (Path::resource(1, 0, 1), Value::Integer(-1)),
        (Path::resource(1, 0, 7), Value::String("S")),
        (Path::resource(0, 1, 2), Value::Integer(9)),
        (Path::resource(0, 1, 99), Value::Integer(9)),
        (Path::resource(0, 9, 0), Value::String("x")),
    ] {
        assert_eq!(a.set(&path, value), Err(AccountError::Value), "{path:?}");
    }
    assert_eq!(a.create(1, 1), Ok(()));
    assert_eq!(a.create(1, 2), Ok(()));
    assert_eq!(a.create(1, 3), Err(AccountError::Full));
}

#[cfg(feature = "oscore")]
#[test]
fn accounts_with_oscore_are_another_schema() {
    let mut a = full();
    let mut buf = [0; MAX_DATA];
    a.encode(&mut buf).unwrap();
    assert_eq!(buf[0], 1 + LONG, "without, as ever");
    a.create(ids::LWM2M_OSCORE, 4).unwrap();
    for (resource, value) in [(0, &b"secret"[..]), (1, b"c"), (2, b"s")] {
        let path = Path::resource(ids::LWM2M_OSCORE, 4, resource);
        a.set(&path, Value::Opaque(value)).unwrap();
    }
    let n = a.encode(&mut buf).unwrap();
    assert_eq!((buf[0], decoded(&buf[..n])), (2 + LONG, Some(a)));
    // What no account names is forgotten.
    let mut unused = a;
    unused.forget_unused_contexts();
    assert_eq!(unused, full());
    let link = Objlnk {
        object: ids::LWM2M_OSCORE,
        instance: 4,
    };
    a.set(&Path::resource(0, 1, 17), Value::Objlnk(link))
        .unwrap();
    assert!(a.is_consistent());
    let mut used = a;
    used.forget_unused_contexts();
    assert_eq!(used, a);
    a.set(&Path::resource(0, 1, 17), Value::Objlnk(Objlnk::NULL))
        .unwrap();
    assert!(a.security.iter().flatten().all(|s| s.oscore().is_none()));
}

/// Firmware without certificates has written them.
#[cfg(feature = "x509")]
#[test]
fn accounts_of_version_1() {
    let mut record = vec![1, 1, 0, 0];
    let uri = b"coaps://10.0.0.2";
    record.push(uri.len() as u8);
    record.extend_from_slice(uri);
    // Bootstrap, pre-shared key, identity, no server key, key, short id, hold off, no server.
    record.extend_from_slice(&[1, 0, 2, b'i', b'd', 0, 3, 1, 2, 3, 0, 0, 9, 0, 0, 0, 0]);
    let read = decoded(&record).unwrap();
    let security = read.security[0].unwrap();
    assert_eq!(security.uri.as_bytes(), uri);
    assert_eq!(security.identity.as_slice(), b"id");
    assert_eq!(security.secret.as_slice(), [1, 2, 3]);
    assert_eq!((security.hold_off, security.usage), (9, 3));
    let mut buf = [0; MAX_DATA];
    let len = read.encode(&mut buf).unwrap();
    assert_eq!((buf[0], decoded(&buf[..len])), (1 + LONG, Some(read)));
}

#[cfg(feature = "rpk")]
mod key_pairs {
    use tinsmith_dtls::{Credentials, public_key_info};

    use super::*;

    const NOW: Now = Now { mono: 0, wall: 0 };

    fn private(secret: u8) -> Vec<u8> {
        [&[0x30, 37, 2, 1, 1, 4, 32][..], &[secret; 32]].concat()
    }

    /// With these values for /0/1/2, /3, /4 and /5.
    fn with(mode: i64, public: &[u8], server: &[u8], secret: &[u8]) -> Accounts {
        let mut a = full();
        let uri = Value::String("coaps://10.0.0.2");
        a.set(&Path::resource(0, 1, 0), uri).unwrap();
        a.set(&Path::resource(0, 1, 2), Value::Integer(mode))
            .unwrap();
        for (resource, value) in [(3, public), (4, server), (5, secret)] {
            let path = Path::resource(0, 1, resource);
            a.set(&path, Value::Opaque(value)).unwrap();
        }
        a
    }

    #[test]
    fn raw_keys_are_looked_at_as_a_whole() {
        let (own, server) = (private(3), public_key_info(&private(4)).unwrap());
        let public = public_key_info(&own).unwrap();
        let a = with(1, &public, &server, &own);
        assert!(a.is_consistent() && a.keys_are_usable(NOW));
        let credentials = a.credentials(1, NOW);
        assert!(matches!(credentials, Credentials::RawKeys { server: s, .. } if s == server));
        // Half of it, not of each other, not keys.
        for (public, server, secret) in [
            (&public[..], &[][..], &own[..]),
            (&public, &server, &[]),
            (&[], &server, &own),
        ] {
            assert!(!with(1, public, server, secret).is_consistent());
        }
        for (public, server, secret) in [
            (&server[..], &server[..], &own[..]),
            (&public, &server[1..], &own),
            (&public, &server, &own[1..]),
        ] {
            let a = with(1, public, server, secret);
            assert!(a.is_consistent() && !a.keys_are_usable(NOW));
        }
        // coap:// with keys.
        let mut a = with(1, &public, &server, &own);
        let uri = Value::String("coap://10.0.0.2");
        a.set(&Path::resource(0, 1, 0), uri).unwrap();
        assert!(!a.is_consistent());
    }

    #[test]
    fn what_is_too_long_is_refused() {
        let mut a = full();
        for (resource, longest) in [(3, MAX_PUBLIC), (4, MAX_PUBLIC), (5, MAX_SECRET)] {
            let path = Path::resource(0, 1, resource);
            let bytes = vec![1; longest + 1];
            let set = a.set(&path, Value::Opaque(&bytes));
            assert_eq!(set, Err(AccountError::Value));
            assert_eq!(a.set(&path, Value::Opaque(&bytes[1..])), Ok(()));
        }
    }

    #[cfg(feature = "x509")]
    #[test]
    fn certificates_with_usage_and_name() {
        use tinsmith_dtls::{Name, Usage};

        let mut a = with(2, b"own", b"server", b"private");
        assert!(a.is_consistent() && !a.keys_are_usable(NOW));
        let trust = |a: &Accounts, now, expected: (Usage, Name<'_>, Option<i64>)| {
            let Credentials::Certificates { server, .. } = a.credentials(1, now) else {
                panic!("no certificates");
            };
            assert_eq!((server.usage, server.name, server.now), expected);
        };
        let address = Name::Address("10.0.0.2".parse().unwrap());
        trust(&a, NOW, (Usage::Issued, address, None));
        a.set(&Path::resource(0, 1, 15), Value::Integer(2)).unwrap();
        let name = Value::String("server.example");
        a.set(&Path::resource(0, 1, 14), name).unwrap();
        let now = Now { mono: 0, wall: 77 };
        let dns = Name::Dns("server.example");
        trust(&a, now, (Usage::Anchor, dns, Some(77)));
        let set = a.set(&Path::resource(0, 1, 15), Value::Integer(4));
        assert_eq!(set, Err(AccountError::Value));
        let mut buf = [0; MAX_DATA];
        let len = a.encode(&mut buf).unwrap();
        let again = decoded(&buf[..len]).unwrap();
        trust(&again, now, (Usage::Anchor, dns, Some(77)));
        let mut same = [0; MAX_DATA];
        assert_eq!(again.encode(&mut same), Some(len));
        assert_eq!(same, buf);
    }
}
