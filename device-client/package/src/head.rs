//! The head of a package: what a device knows before the first byte of the payload.

use lwm2m_objects::cbor::{CborError, Reader};

use crate::error::{PackageError, Refusal, Unsupported};
use crate::identity::{VENDOR_ID, sha256};
use crate::profile as p;
use crate::{MAX_COMPILER, MAX_HEAD, MAX_MODEL_NAME, MAX_MODEL_VERSION};

/// What the payload is; on the wire the only part of the component identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A whole firmware image.
    Firmware,
    /// A model with what is needed to run it, for one of the model slots.
    Module,
}

impl Kind {
    /// The part of the component identifier.
    #[must_use]
    pub const fn component(self) -> &'static str {
        match self {
            Self::Firmware => "firmware",
            Self::Module => "module",
        }
    }

    fn from_component(part: &[u8]) -> Option<Self> {
        [Self::Firmware, Self::Module]
            .into_iter()
            .find(|kind| kind.component().as_bytes() == part)
    }
}

/// Everything a package says of its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// Manifest sequence number: above that of every package committed before.
    pub sequence: u64,
    /// What the payload is.
    pub kind: Kind,
    /// The slot it was built for; `None` leaves the choice to the device.
    pub slot: Option<u8>,
    /// Vendor identifier, a UUID ([`VENDOR_ID`]).
    pub vendor_id: [u8; 16],
    /// Class identifier, a UUID (`module_class_id`, `firmware_class_id`).
    pub class_id: [u8; 16],
    /// SHA-256 of the payload.
    pub digest: [u8; 32],
    /// Length of the payload, bytes.
    pub size: u32,
    /// Runtime ABI version it needs (27300/0/3).
    pub abi: u32,
    /// Arena it needs, bytes (27303/x/14).
    pub arena_bytes: u32,
    /// Seconds until a trial that nobody commits rolls back; 0: commit after a green self test.
    pub trial_s: u32,
    /// Model name (27303/x/0), at most [`MAX_MODEL_NAME`] bytes.
    pub model_name: &'a str,
    /// Model version (27303/x/1), at most [`MAX_MODEL_VERSION`] bytes.
    pub model_version: &'a str,
    /// SHA-256 of the source model (27303/x/2).
    pub source_digest: [u8; 32],
    /// Name and version of the compiler (27303/x/4), at most [`MAX_COMPILER`] bytes.
    pub compiler: &'a str,
}

/// How far the head has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// Nothing wrong so far, but the head goes on.
    NeedMore,
    /// The head is complete, and its manifest has the digest of the authentication wrapper.
    Complete {
        /// The head.
        head: Head<'a>,
        /// Offset of the payload's first byte in the package.
        payload_offset: usize,
        /// Length of the payload, bytes; the package ends with it.
        payload_len: u32,
    },
}

/// What a device gives, to hold a head against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// The class of modules this device runs.
    pub module_class: [u8; 16],
    /// The class of firmware it takes; `None` if it takes none.
    pub firmware_class: Option<[u8; 16]>,
    /// Its runtime ABI version.
    pub abi: u32,
    /// Its arena, bytes.
    pub arena_bytes: u32,
    /// Size of the slot the payload would go to, bytes.
    pub slot_bytes: u32,
    /// Highest sequence number committed; 0 before the first.
    pub sequence_floor: u64,
}

impl<'a> Head<'a> {
    /// Reads the head from the first bytes of a package, as many as have arrived.
    ///
    /// More than [`MAX_HEAD`] bytes may be given; the head must end within the first `MAX_HEAD`.
    ///
    /// # Errors
    /// As soon as the bytes cannot become a package of the profile any more.
    pub fn parse(input: &'a [u8]) -> Result<Parsed<'a>, PackageError> {
        let window = &input[..input.len().min(MAX_HEAD)];
        let mut reader = Outer {
            reader: Reader::new(window),
            more: window.len() < MAX_HEAD,
        };
        match reader.envelope() {
            Ok((head, payload_offset, payload_len)) => Ok(Parsed::Complete {
                head,
                payload_offset,
                payload_len,
            }),
            Err(Stop::NeedMore) => Ok(Parsed::NeedMore),
            Err(Stop::Refuse(error)) => Err(error),
        }
    }

    /// Holds the head against what this device gives.
    ///
    /// # Errors
    /// The first demand that is not met.
    pub fn check(&self, receiver: &Receiver) -> Result<(), Refusal> {
        if self.vendor_id != VENDOR_ID {
            return Err(Refusal::Vendor);
        }
        let class = match self.kind {
            Kind::Module => receiver.module_class,
            Kind::Firmware => receiver.firmware_class.ok_or(Refusal::Component)?,
        };
        if self.class_id != class {
            return Err(Refusal::Class);
        }
        if self.abi != receiver.abi {
            return Err(Refusal::Abi {
                package: self.abi,
                device: receiver.abi,
            });
        }
        if self.sequence <= receiver.sequence_floor {
            let (package, floor) = (self.sequence, receiver.sequence_floor);
            return Err(Refusal::Sequence { package, floor });
        }
        if self.size > receiver.slot_bytes {
            let (needed, available) = (self.size, receiver.slot_bytes);
            return Err(Refusal::Storage { needed, available });
        }
        if self.arena_bytes > receiver.arena_bytes {
            let (needed, available) = (self.arena_bytes, receiver.arena_bytes);
            return Err(Refusal::Arena { needed, available });
        }
        Ok(())
    }

    fn manifest(bytes: &'a [u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new(bytes);
        let r = &mut reader;
        members(r.map()?, 5)?;
        key(r, p::VERSION, Unsupported::ManifestVersion)?;
        if r.unsigned()? != 1 {
            return Err(Unsupported::ManifestVersion.into());
        }
        key(r, p::SEQUENCE_NUMBER, Unsupported::Member)?;
        let sequence = r.unsigned()?;
        key(r, p::COMMON, Unsupported::Member)?;
        let common = r.bytes()?;
        key(r, p::VALIDATE, Unsupported::Member)?;
        let validate = r.bytes()?;
        key(r, p::INSTALL, Unsupported::Member)?;
        let install = r.bytes()?;
        end(r)?;
        let head = Self::common(sequence, common)?;
        validate_sequence(validate)?;
        install_sequence(install)?;
        Ok(head)
    }

    fn common(sequence: u64, bytes: &'a [u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new(bytes);
        let r = &mut reader;
        members(r.map()?, 2)?;
        key(r, p::COMPONENTS, Unsupported::Member)?;
        if r.array()? != 1 || r.array()? != 1 {
            return Err(Unsupported::Component.into());
        }
        let kind = Kind::from_component(r.bytes()?).ok_or(Unsupported::Component)?;
        key(r, p::SHARED_SEQUENCE, Unsupported::Member)?;
        let shared = r.bytes()?;
        end(r)?;
        Self::shared_sequence(sequence, kind, shared)
    }

    fn shared_sequence(sequence: u64, kind: Kind, bytes: &'a [u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new(bytes);
        let r = &mut reader;
        let items = r.array()?;
        key(r, p::OVERRIDE_PARAMETERS, Unsupported::Commands)?;
        let head = Self::parameters(r, sequence, kind)?;
        let conditions = if head.slot.is_some() { 3 } else { 2 };
        if items != 2 + 2 * conditions {
            return Err(Unsupported::Commands.into());
        }
        command(r, p::VENDOR_IDENTIFIER as i64)?;
        command(r, p::CLASS_IDENTIFIER as i64)?;
        if head.slot.is_some() {
            command(r, p::COMPONENT_SLOT as i64)?;
        }
        end(r)?;
        Ok(head)
    }

    fn parameters(r: &mut Reader<'a>, sequence: u64, kind: Kind) -> Result<Self, Fault> {
        const WITHOUT_SLOT: u64 = 11;
        let has_slot = match r.map()? {
            WITHOUT_SLOT => false,
            count if count == WITHOUT_SLOT + 1 => true,
            _ => return Err(Unsupported::Parameter.into()),
        };
        let parameter = Unsupported::Parameter;
        key(r, p::VENDOR_IDENTIFIER, parameter)?;
        let vendor_id = exactly(r.bytes()?)?;
        key(r, p::CLASS_IDENTIFIER, parameter)?;
        let class_id = exactly(r.bytes()?)?;
        key(r, p::IMAGE_DIGEST, parameter)?;
        let digest = suit_digest(r.bytes()?)?;
        let slot = if has_slot {
            key(r, p::COMPONENT_SLOT, parameter)?;
            Some(narrow(r.unsigned()?)?)
        } else {
            None
        };
        key(r, p::IMAGE_SIZE, parameter)?;
        let size = narrow(r.unsigned()?)?;
        private(r, p::ABI)?;
        let abi = narrow(r.unsigned()?)?;
        private(r, p::ARENA)?;
        let arena_bytes = narrow(r.unsigned()?)?;
        private(r, p::TRIAL)?;
        let trial_s = narrow(r.unsigned()?)?;
        private(r, p::MODEL_NAME)?;
        let model_name = at_most(r.text()?, MAX_MODEL_NAME)?;
        private(r, p::MODEL_VERSION)?;
        let model_version = at_most(r.text()?, MAX_MODEL_VERSION)?;
        private(r, p::SOURCE_DIGEST)?;
        let source_digest = exactly(r.bytes()?)?;
        private(r, p::COMPILER)?;
        let compiler = at_most(r.text()?, MAX_COMPILER)?;
        Ok(Self {
            sequence,
            kind,
            slot,
            vendor_id,
            class_id,
            digest,
            size,
            abi,
            arena_bytes,
            trial_s,
            model_name,
            model_version,
            source_digest,
            compiler,
        })
    }
}

enum Stop {
    NeedMore,
    Refuse(PackageError),
}

impl<E: Into<PackageError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Refuse(error.into())
    }
}

/// The outermost items, where "truncated" may mean that more is to come.
struct Outer<'a> {
    reader: Reader<'a>,
    more: bool,
}

impl<'a> Outer<'a> {
    fn envelope(&mut self) -> Result<(Head<'a>, usize, u32), Stop> {
        let envelope = Unsupported::Envelope;
        if self.item(Reader::tag)? != p::TAG_ENVELOPE || self.item(Reader::map)? != 3 {
            return Err(envelope.into());
        }
        if self.item(Reader::unsigned)? != p::AUTHENTICATION {
            return Err(envelope.into());
        }
        let (_, authentication) = self.string()?;
        let digest = manifest_digest(authentication)?;
        if self.item(Reader::unsigned)? != p::MANIFEST {
            return Err(envelope.into());
        }
        let (wrapped, manifest) = self.string()?;
        if sha256(wrapped) != digest {
            return Err(PackageError::ManifestDigest.into());
        }
        let head = Head::manifest(manifest)?;
        if self.item(Reader::text)? != p::PAYLOAD_KEY {
            return Err(envelope.into());
        }
        let payload = self.item(Reader::bytes_header)?;
        if payload != u64::from(head.size) {
            let manifest = u64::from(head.size);
            return Err(PackageError::SizeMismatch { manifest, payload }.into());
        }
        let size = head.size;
        Ok((head, self.reader.position(), size))
    }

    /// A byte string of the head, with and without its CBOR head; one that cannot end within
    /// [`MAX_HEAD`] is refused at once.
    fn string(&mut self) -> Result<(&'a [u8], &'a [u8]), Stop> {
        let start = self.reader.position();
        let mut ahead = self.reader.clone();
        let len = ahead.bytes_header();
        if let Ok(len) = len
            && len > (MAX_HEAD - ahead.position()) as u64
        {
            return Err(PackageError::HeadTooLong.into());
        }
        let inner = self.item(Reader::bytes)?;
        Ok((self.reader.since(start), inner))
    }

    fn item<T>(
        &mut self,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, CborError>,
    ) -> Result<T, Stop> {
        read(&mut self.reader).map_err(|error| match error {
            CborError::Truncated if self.more => Stop::NeedMore,
            CborError::Truncated => Stop::Refuse(PackageError::HeadTooLong),
            CborError::Malformed => Stop::Refuse(PackageError::Malformed),
        })
    }
}

/// What can be wrong inside; small enough for a register, unlike [`PackageError`].
#[derive(Clone, Copy)]
enum Fault {
    Malformed,
    Unsupported(Unsupported),
}

/// Inside a byte string that has arrived whole, there is no more to come.
impl From<CborError> for Fault {
    fn from(_: CborError) -> Self {
        Self::Malformed
    }
}

impl From<Unsupported> for Fault {
    fn from(what: Unsupported) -> Self {
        Self::Unsupported(what)
    }
}

impl From<Fault> for PackageError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Malformed => Self::Malformed,
            Fault::Unsupported(what) => Self::Unsupported(what),
        }
    }
}

/// The digest of the wrapped manifest, from `[digest]` (draft-ietf-suit-manifest 8.3).
fn manifest_digest(bytes: &[u8]) -> Result<[u8; 32], Fault> {
    let mut reader = Reader::new(bytes);
    if reader.array()? != 1 {
        return Err(Unsupported::Authentication.into());
    }
    let digest = suit_digest(reader.bytes()?)?;
    end(&reader)?;
    Ok(digest)
}

/// `[-16, h'32 bytes']`.
fn suit_digest(bytes: &[u8]) -> Result<[u8; 32], Fault> {
    let mut reader = Reader::new(bytes);
    if reader.array()? != 2 || reader.integer()? != p::SHA_256 {
        return Err(Unsupported::Authentication.into());
    }
    let digest = exactly(reader.bytes()?)?;
    end(&reader)?;
    Ok(digest)
}

fn validate_sequence(bytes: &[u8]) -> Result<(), Fault> {
    let mut reader = Reader::new(bytes);
    let r = &mut reader;
    if r.array()? != 2 {
        return Err(Unsupported::Commands.into());
    }
    command(r, p::IMAGE_MATCH as i64)?;
    end(r)
}

fn install_sequence(bytes: &[u8]) -> Result<(), Fault> {
    let mut reader = Reader::new(bytes);
    let r = &mut reader;
    if r.array()? != 8 {
        return Err(Unsupported::Commands.into());
    }
    command(r, p::CONDITION_RUNTIME)?;
    key(r, p::OVERRIDE_PARAMETERS, Unsupported::Commands)?;
    if r.map()? != 1 {
        return Err(Unsupported::Parameter.into());
    }
    key(r, p::URI, Unsupported::Parameter)?;
    if r.text()? != p::PAYLOAD_KEY {
        return Err(Unsupported::Parameter.into());
    }
    command(r, p::FETCH as i64)?;
    command(r, p::IMAGE_MATCH as i64)?;
    end(r)
}

fn members(found: u64, expected: u64) -> Result<(), Fault> {
    if found == expected {
        Ok(())
    } else {
        Err(Unsupported::Member.into())
    }
}

fn key(r: &mut Reader<'_>, expected: u64, otherwise: Unsupported) -> Result<(), Fault> {
    if r.integer()?.try_into() == Ok(expected) {
        Ok(())
    } else {
        Err(otherwise.into())
    }
}

fn private(r: &mut Reader<'_>, expected: i64) -> Result<(), Fault> {
    if r.integer()? == expected {
        Ok(())
    } else {
        Err(Unsupported::Parameter.into())
    }
}

/// A command without argument but the reporting policy.
fn command(r: &mut Reader<'_>, expected: i64) -> Result<(), Fault> {
    if r.integer()? == expected && r.unsigned()? == p::REPORT_ALL {
        Ok(())
    } else {
        Err(Unsupported::Commands.into())
    }
}

fn end(r: &Reader<'_>) -> Result<(), Fault> {
    if r.is_empty() {
        Ok(())
    } else {
        Err(Fault::Malformed)
    }
}

fn exactly<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Fault> {
    bytes.try_into().map_err(|_| Fault::Malformed)
}

fn at_most(text: &str, limit: usize) -> Result<&str, Fault> {
    if text.len() <= limit {
        Ok(text)
    } else {
        Err(Unsupported::Parameter.into())
    }
}

fn narrow<T: TryFrom<u64>>(value: u64) -> Result<T, Fault> {
    value.try_into().map_err(|_| Unsupported::Parameter.into())
}
