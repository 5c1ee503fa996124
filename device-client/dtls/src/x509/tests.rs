//! Paths, names, times and what extensions say, with certificates made by hand.

use super::*;

#[path = "../../tests/common/authority.rs"]
mod authority;
#[path = "../../tests/common/pairs.rs"]
mod pairs;

use authority::{AUTHORITY, BELOW, Holder, LOWEST, PLAIN, ROOT, SERVER, Wish, certificate, list};

/// 2026-01-01.
const NOW: i64 = 1_767_225_600;

const OF_SERVER: Wish = Wish {
    dns: &["server.example", "*.fleet.example"],
    usage: Some(0x80),
    purpose: Some(1),
    ..PLAIN
};

fn root() -> Vec<u8> {
    certificate(ROOT, ROOT, &AUTHORITY)
}

fn trust(usage: Usage, certificate: &[u8]) -> Trust<'_> {
    Trust {
        usage,
        certificate,
        authorities: &[],
        name: Name::Dns("server.example"),
        now: Some(NOW),
    }
}

fn believed(shown: &[&[u8]], trust: &Trust<'_>) -> Result<(), Refused> {
    let key = believe(&list(shown), trust)?;
    assert_eq!(key[..], pairs::point(&pairs::key(SERVER.secret)));
    Ok(())
}

fn flaw(flaw: Flaw) -> Result<(), Refused> {
    Err(Refused::Flaw(flaw))
}

#[test]
fn an_issued_certificate_is_this_one_and_nothing_else_counts() {
    let wish = Wish {
        years: [10, 11],
        purpose: Some(2),
        ..PLAIN
    };
    let der = certificate(SERVER, SERVER, &wish);
    let mut trust = trust(Usage::Issued, &der);
    trust.name = Name::Dns("another");
    assert_eq!(believed(&[&der], &trust), Ok(()));
    assert_eq!(believed(&[&der, &root()], &trust), Ok(()));
    let other = certificate(ROOT, SERVER, &wish);
    assert_eq!(believed(&[&other], &trust), Err(Refused::Stranger));
    assert_eq!(believed(&[&other, &der], &trust), Err(Refused::Stranger));
    let first = certificate(
        SERVER,
        SERVER,
        &Wish {
            first_version: true,
            ..PLAIN
        },
    );
    trust.certificate = &first;
    assert_eq!(believed(&[&first], &trust), Ok(()));
}

#[test]
fn an_anchor_is_above_all() {
    let root = root();
    let anchor = trust(Usage::Anchor, &root);
    let direct = certificate(ROOT, SERVER, &OF_SERVER);
    assert_eq!(believed(&[&direct], &anchor), Ok(()));
    assert_eq!(believed(&[&direct, &root], &anchor), Ok(()));
    let below = certificate(ROOT, BELOW, &AUTHORITY);
    let lowest = certificate(BELOW, LOWEST, &AUTHORITY);
    let far = certificate(LOWEST, SERVER, &OF_SERVER);
    assert_eq!(believed(&[&far, &lowest, &below], &anchor), Ok(()));
    // A path that is not whole, not in order, or too long.
    assert_eq!(believed(&[&far], &anchor), flaw(Flaw::Authority));
    assert_eq!(believed(&[&far, &lowest], &anchor), flaw(Flaw::Authority));
    let mixed = believed(&[&far, &below, &lowest], &anchor);
    assert_eq!(mixed, flaw(Flaw::Authority));
    let long = believed(&[&far, &lowest, &below, &root], &anchor);
    assert_eq!(long, Err(Refused::Decode));
    // The anchor may be in the middle, and the server's own.
    let middle = trust(Usage::Anchor, &lowest);
    assert_eq!(believed(&[&far], &middle), Ok(()));
    assert_eq!(believed(&[&far, &lowest, &below], &middle), Ok(()));
    let own = trust(Usage::Anchor, &direct);
    assert_eq!(believed(&[&direct], &own), Ok(()));
}

#[test]
fn who_is_no_authority_issues_nothing() {
    let direct = certificate(ROOT, SERVER, &OF_SERVER);
    let far = |wish: &Wish| {
        let below = certificate(ROOT, BELOW, wish);
        let far = certificate(BELOW, SERVER, &OF_SERVER);
        believed(&[&far, &below], &trust(Usage::Anchor, &root()))
    };
    assert_eq!(far(&AUTHORITY), Ok(()));
    for wish in [
        // A device of the same authority.
        PLAIN,
        Wish {
            first_version: true,
            ..PLAIN
        },
        // It may not sign certificates.
        Wish {
            usage: Some(0x80),
            ..AUTHORITY
        },
    ] {
        assert_eq!(far(&wish), flaw(Flaw::Authority), "{wish:?}");
    }
    // Paths that are longer than they may be.
    for (longest, fits) in [(Some(0), false), (Some(1), true), (None, true)] {
        let root = certificate(
            ROOT,
            ROOT,
            &Wish {
                authority: Some(longest),
                ..AUTHORITY
            },
        );
        let anchor = trust(Usage::Anchor, &root);
        let below = certificate(ROOT, BELOW, &AUTHORITY);
        let far = certificate(BELOW, SERVER, &OF_SERVER);
        let found = believed(&[&far, &below], &anchor);
        assert_eq!(found.is_ok(), fits, "{longest:?}");
        assert_eq!(believed(&[&direct], &anchor), Ok(()));
    }
    // The right name with another key.
    let impostor = Holder { secret: 9, ..ROOT };
    let forged = certificate(impostor, SERVER, &OF_SERVER);
    let found = believed(&[&forged], &trust(Usage::Anchor, &root()));
    assert_eq!(found, flaw(Flaw::Authority));
    let found = believed(
        &[&forged, &certificate(impostor, impostor, &AUTHORITY)],
        &trust(Usage::Anchor, &root()),
    );
    assert_eq!(found, flaw(Flaw::Authority));
}

#[test]
fn times() {
    let root = root();
    let late = Wish {
        years: [27, 28],
        ..OF_SERVER
    };
    let early = Wish {
        years: [20, 25],
        ..OF_SERVER
    };
    for wish in [late, early] {
        let der = certificate(ROOT, SERVER, &wish);
        let mut anchor = trust(Usage::Anchor, &root);
        assert_eq!(believed(&[&der], &anchor), flaw(Flaw::Expired));
        anchor.now = None;
        assert_eq!(believed(&[&der], &anchor), Ok(()));
    }
    let old = Wish {
        years: [20, 25],
        ..AUTHORITY
    };
    let direct = certificate(ROOT, SERVER, &OF_SERVER);
    let old_root = certificate(ROOT, ROOT, &old);
    let found = believed(&[&direct], &trust(Usage::Anchor, &old_root));
    assert_eq!(found, flaw(Flaw::Expired));
    let below = certificate(ROOT, BELOW, &old);
    let far = certificate(BELOW, SERVER, &OF_SERVER);
    let found = believed(&[&far, &below], &trust(Usage::Anchor, &root));
    assert_eq!(found, flaw(Flaw::Expired));
}

#[test]
fn names() {
    let root = root();
    let check = |wish: &Wish, name| {
        let der = certificate(ROOT, SERVER, wish);
        let mut anchor = trust(Usage::Anchor, &root);
        anchor.name = name;
        believed(&[&der], &anchor) == Ok(())
    };
    for (name, is) in [
        ("server.example", true),
        ("SERVER.example", true),
        ("server.example.org", false),
        ("a.fleet.example", true),
        ("a.b.fleet.example", false),
        ("fleet.example", false),
        (".fleet.example", false),
        ("", false),
    ] {
        assert_eq!(check(&OF_SERVER, Name::Dns(name)), is, "{name}");
    }
    let star = Wish {
        dns: &["*.example"],
        ..PLAIN
    };
    assert!(!check(&star, Name::Dns("server.example")));
    // The common name counts without other names.
    assert!(check(&PLAIN, Name::Dns("server.example")));
    assert!(!check(&star, Name::Dns("server.example")));
    let at = Wish {
        address: &[192, 0, 2, 1],
        ..PLAIN
    };
    let address = |text: &str| Name::Address(text.parse().unwrap());
    assert!(check(&at, address("192.0.2.1")));
    assert!(!check(&at, address("192.0.2.2")));
    assert!(!check(&at, Name::Dns("192.0.2.1")));
    assert!(!check(&OF_SERVER, address("192.0.2.1")));
    let at = Wish {
        address: &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        ..PLAIN
    };
    assert!(check(&at, address("2001:db8::1")));
}

#[test]
fn what_a_certificate_is_for() {
    let root = root();
    let check = |wish: &Wish| {
        let der = certificate(ROOT, SERVER, wish);
        believed(&[&der], &trust(Usage::Anchor, &root))
    };
    assert_eq!(check(&PLAIN), Ok(()));
    let clients = Wish {
        purpose: Some(2),
        ..OF_SERVER
    };
    let signs_not = Wish {
        usage: Some(0x08),
        ..OF_SERVER
    };
    for wish in [clients, signs_not] {
        assert_eq!(check(&wish), flaw(Flaw::Usage));
    }
    for (other, taken) in [
        (Some((&[0x2a, 3, 4][..], false)), true),
        (Some((&[0x2a, 3, 4], true)), false),
        // Name constraints, which nobody may ignore.
        (Some((&[0x55, 0x1d, 30], false)), false),
        // The alternative names a second time.
        (Some((&[0x55, 0x1d, 17], false)), false),
    ] {
        let found = check(&Wish { other, ..OF_SERVER });
        let expected = if taken {
            Ok(())
        } else {
            flaw(Flaw::Unreadable)
        };
        assert_eq!(found, expected, "{other:?}");
    }
}

#[test]
fn the_devices_own_authorities() {
    let (root, below) = (root(), certificate(ROOT, BELOW, &AUTHORITY));
    let server = certificate(BELOW, SERVER, &OF_SERVER);
    let direct = certificate(ROOT, SERVER, &OF_SERVER);
    let authorities: &[&[u8]] = &[&certificate(LOWEST, LOWEST, &AUTHORITY), &root];
    // This certificate, and a path as well.
    let mut service = trust(Usage::Service, &server);
    assert_eq!(
        believed(&[&server, &below], &service),
        flaw(Flaw::Authority)
    );
    service.authorities = authorities;
    service.name = Name::Dns("another");
    assert_eq!(believed(&[&server, &below], &service), Ok(()));
    assert_eq!(believed(&[&direct], &service), Err(Refused::Stranger));
    // A path through this authority.
    for (through, passes) in [(&below, true), (&root, true), (&server, false)] {
        let mut constraint = trust(Usage::Authority, through);
        constraint.authorities = authorities;
        let found = believed(&[&server, &below], &constraint);
        let expected = if passes {
            Ok(())
        } else {
            flaw(Flaw::Authority)
        };
        assert_eq!(found, expected);
    }
    let mut constraint = trust(Usage::Authority, &below);
    constraint.authorities = authorities;
    assert_eq!(believed(&[&direct], &constraint), flaw(Flaw::Authority));
}

/// No cut and no changed bit of a path is believed, but for bits of what nobody reads: it is signed.
#[test]
fn damage() {
    let root = root();
    let below = certificate(ROOT, BELOW, &AUTHORITY);
    let server = certificate(BELOW, SERVER, &OF_SERVER);
    let anchor = trust(Usage::Anchor, &root);
    let whole = list(&[&server, &below]);
    assert!(believe(&whole, &anchor).is_ok());
    for cut in 0..whole.len() {
        assert!(believe(&whole[..cut], &anchor).is_err(), "{cut}");
    }
    for byte in 0..whole.len() {
        let mut changed = whole.clone();
        changed[byte] ^= 1 << (byte % 8);
        assert!(believe(&changed, &anchor).is_err(), "byte {byte}");
    }
    assert_eq!(believe(&list(&[]), &anchor), Err(Refused::Decode));
    assert_eq!(believe(&[], &anchor), Err(Refused::Decode));
}
