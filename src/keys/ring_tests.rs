use std::os::unix::fs::PermissionsExt;

use tinsmith_package::{Authentication, Head, Kind, Parsed, VENDOR_ID, sha256};

use super::*;

const PAYLOAD: &[u8] = b"payload";

fn manifest() -> Manifest {
    Manifest::of(&Head {
        sequence: 7,
        kind: Kind::Module,
        slot: None,
        vendor_id: VENDOR_ID,
        class_id: [9; 16],
        digest: sha256(PAYLOAD),
        size: PAYLOAD.len() as u32,
        abi: 1,
        arena_bytes: 4096,
        trial_s: 600,
        model_name: "motion",
        model_version: "1.2.0",
        source_digest: [5; 32],
        compiler: "tinsmith",
    })
    .unwrap()
}

fn ring(folder: &Path) -> Keyring {
    let master = Master::open(&folder.join("sealing.key")).unwrap();
    Keyring::open(&folder.join("keys"), master).unwrap()
}

/// The key that signs, as a device with these anchors sees it.
fn signer(ring: &Keyring, algorithms: &[i64], trusted: &[KeyId]) -> Result<KeyId, String> {
    let signature = ring.sign(&manifest(), algorithms, trusted)?;
    let signature = signature.ok_or("unsigned")?;
    let prefix = manifest().prefix(Some(&signature));
    let Ok(Parsed::Complete { authentication, .. }) = Head::parse(&prefix) else {
        panic!("it is a package");
    };
    let mut anchors = tinsmith_package::Anchors::EMPTY;
    for anchor in ring.anchors().unwrap() {
        anchors.add(anchor);
    }
    let verified = Authentication::verify(&authentication, &anchors, &SCHEMES);
    Ok(verified.unwrap().unwrap())
}

#[test]
fn the_newest_key_that_is_trusted_signs() {
    let folder = tempfile::tempdir().unwrap();
    let ring = ring(folder.path());
    assert!(signer(&ring, &[-8], &[]).is_err());
    let first = *ring.make(Algorithm::EdDsa).unwrap().anchor().unwrap().id();
    assert_eq!(signer(&ring, &[-8], &[]), Ok(first));
    let second = *ring.make(Algorithm::EdDsa).unwrap().anchor().unwrap().id();
    let other = *ring.make(Algorithm::Es256).unwrap().anchor().unwrap().id();
    assert_eq!(signer(&ring, &[-8], &[]), Ok(second));
    assert_eq!(signer(&ring, &[-7], &[]), Ok(other));
    // A device that knows the old one only is sent what it takes.
    assert_eq!(signer(&ring, &[-8], &[first]), Ok(first));
    assert_eq!(signer(&ring, &[-8, -7], &[first, other]), Ok(other));
    assert!(
        signer(&ring, &[-8], &[[1; 8]])
            .unwrap_err()
            .contains("0101")
    );
    // A device that verifies nothing is sent what it can read.
    assert_eq!(ring.sign(&manifest(), &[], &[]), Ok(None));
    // The same bytes each time: a transfer goes on after a restart.
    let sign = || ring.sign(&manifest(), &[-7], &[]).unwrap();
    assert_eq!(sign(), sign());
}

#[test]
fn keys_are_sealed_and_survive() {
    let folder = tempfile::tempdir().unwrap();
    let id = {
        let ring = ring(folder.path());
        ring.make(Algorithm::EdDsa).unwrap().id
    };
    let ring = ring(folder.path());
    assert_eq!(ring.list().unwrap()[0].id, id);
    assert!(signer(&ring, &[-8], &[]).is_ok());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.path().join("keys")), 0o700);
    assert_eq!(mode(&ring.path()), 0o600);
    // With another sealing key nothing is signed, and the keys stay.
    let other = Master::parse(&"02".repeat(32), "here").unwrap();
    let blind = Keyring::open(&folder.path().join("keys"), other).unwrap();
    assert!(signer(&blind, &[-8], &[]).unwrap_err().contains("sealed"));
    assert_eq!(blind.list().unwrap(), ring.list().unwrap());
}

#[test]
fn a_key_is_removed_only_when_another_signs() {
    let folder = tempfile::tempdir().unwrap();
    let ring = ring(folder.path());
    let first = ring.make(Algorithm::EdDsa).unwrap();
    assert!(matches!(ring.remove(&first.id), Err(KeyError::Last(_))));
    ring.make(Algorithm::Es256).unwrap();
    assert!(matches!(ring.remove(&first.id), Err(KeyError::Last(_))));
    ring.make(Algorithm::EdDsa).unwrap();
    ring.remove(&first.id).unwrap();
    assert!(matches!(ring.remove(&first.id), Err(KeyError::Unknown(_))));
    assert_eq!(ring.anchors().unwrap().len(), 2);
    ring.make(Algorithm::EdDsa).unwrap();
    ring.make(Algorithm::EdDsa).unwrap();
    assert!(matches!(
        ring.make(Algorithm::EdDsa),
        Err(KeyError::TooMany)
    ));
}

#[test]
fn a_command_is_taken_only_if_it_signs_with_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let ring = ring(folder.path());
    let secret = Secret::from_bytes(Algorithm::EdDsa, &[1; 32]).unwrap();
    let public = secret.public().unwrap();
    let refused = ring.take_command("head -c 64 /dev/zero", &public);
    assert!(matches!(refused, Err(KeyError::Wrong(_))));
    assert!(ring.list().unwrap().is_empty());
    // A signer that knows the two messages of this test.
    let answers = folder.path().join("answers");
    fs::create_dir(&answers).unwrap();
    let zero = tinsmith_package::to_be_signed(Algorithm::EdDsa, &[0; 32]);
    for message in [zero, manifest().to_be_signed(Algorithm::EdDsa)] {
        let name = hex::encode(&message);
        fs::write(answers.join(name), secret.sign(&message).unwrap()).unwrap();
    }
    let answers = answers.display();
    let command = format!("cat {answers}/$(od -An -v -tx1 | tr -d ' \\n')");
    ring.take_command(&command, &public).unwrap();
    assert_eq!(signer(&ring, &[-8], &[]), Ok(*public.id()));
    assert!(matches!(ring.list().unwrap()[0].origin, Origin::Command(_)));
}

#[test]
fn a_damaged_file_is_told_and_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let ring = ring(folder.path());
    for text in ["", "{}", "{\"schema\": 2, \"keys\": []}"] {
        fs::write(ring.path(), text).unwrap();
        assert!(matches!(ring.list(), Err(KeyError::Form { .. })));
        assert!(ring.make(Algorithm::EdDsa).is_err());
        assert_eq!(fs::read_to_string(ring.path()).unwrap(), text);
    }
}
