#[cfg(feature = "oscore")]
use lwm2m_objects::Objlnk;

use super::*;
use crate::config::Factory;
use crate::store::journal::MAX_DATA;
use crate::text::Bytes;

fn factory() -> Accounts {
    let mut a = Accounts::EMPTY;
    assert!(a.reset(Factory::Bootstrap("coap://127.0.0.1:5683")));
    a
}

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
        s.identity = Bytes::new(&[1; 64]).unwrap();
        s.server_key = s.identity;
        s.secret = s.identity;
        #[cfg(feature = "oscore")]
        {
            let mut context = Oscore::new(i as u16);
            context.secret = s.secret;
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
    a.keep_bootstrap_account(before.bootstrap().copied());
    assert_eq!(
        a.bootstrap().map(|s| (s.id, s.uri)),
        before.bootstrap().map(|s| (1, s.uri))
    );
    let mut a = before;
    a.create(0, 4).unwrap();
    a.set(&Path::resource(0, 4, 1), Value::Boolean(true))
        .unwrap();
    a.keep_bootstrap_account(before.bootstrap().copied());
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
    assert_eq!(buf[0], 1, "without, as ever");
    a.create(ids::LWM2M_OSCORE, 4).unwrap();
    for (resource, value) in [(0, &b"secret"[..]), (1, b"c"), (2, b"s")] {
        let path = Path::resource(ids::LWM2M_OSCORE, 4, resource);
        a.set(&path, Value::Opaque(value)).unwrap();
    }
    let n = a.encode(&mut buf).unwrap();
    assert_eq!((buf[0], decoded(&buf[..n])), (2, Some(a)));
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
