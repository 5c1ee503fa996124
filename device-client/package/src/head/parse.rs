//! Reading a head: the members of the profile, in their order and no others.

use lwm2m_objects::cbor::{CborError, Reader};

use super::{Head, Kind};
use crate::authentication::{Authentication, signature};
use crate::error::{PackageError, Unsupported};
use crate::identity::sha256;
use crate::profile as p;
use crate::{MAX_COMPILER, MAX_HEAD, MAX_MODEL_NAME, MAX_MODEL_VERSION};

impl<'a> Head<'a> {
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

/// Why reading ends early.
pub(super) enum Stop {
    NeedMore,
    Refuse(PackageError),
}

impl<E: Into<PackageError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Refuse(error.into())
    }
}

/// The outermost items, where "truncated" may mean that more is to come.
pub(super) struct Outer<'a> {
    reader: Reader<'a>,
    more: bool,
}

impl<'a> Outer<'a> {
    /// `more`: the input may go on.
    pub(super) const fn new(input: &'a [u8], more: bool) -> Self {
        Self {
            reader: Reader::new(input),
            more,
        }
    }

    #[allow(clippy::type_complexity, reason = "taken apart at once")]
    pub(super) fn envelope(&mut self) -> Result<(Head<'a>, Authentication<'a>, usize, u32), Stop> {
        let envelope = Unsupported::Envelope;
        if self.item(Reader::tag)? != p::TAG_ENVELOPE || self.item(Reader::map)? != 3 {
            return Err(envelope.into());
        }
        if self.item(Reader::unsigned)? != p::AUTHENTICATION {
            return Err(envelope.into());
        }
        let (_, authentication) = self.string()?;
        let authentication = read_authentication(authentication)?;
        if self.item(Reader::unsigned)? != p::MANIFEST {
            return Err(envelope.into());
        }
        let (wrapped, manifest) = self.string()?;
        if sha256(wrapped) != authentication.digest {
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
        Ok((head, authentication, self.reader.position(), size))
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

/// `[digest]` or `[digest, signature]` (draft-ietf-suit-manifest 8.3).
fn read_authentication(bytes: &[u8]) -> Result<Authentication<'_>, Fault> {
    let mut reader = Reader::new(bytes);
    let is_signed = match reader.array()? {
        1 => false,
        2 => true,
        _ => return Err(Unsupported::Authentication.into()),
    };
    let digest = suit_digest(reader.bytes()?)?;
    let signature = match is_signed {
        true => Some(signature(reader.bytes()?)?),
        false => None,
    };
    end(&reader)?;
    Ok(Authentication { digest, signature })
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
