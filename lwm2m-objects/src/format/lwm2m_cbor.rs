//! LwM2M CBOR (content format 11544; LwM2M TS 1.2 §7.4.7): maps from ids to maps or values. A key is
//! an id, or an array of ids that stands for as many maps; the keys down to a value are its path.

use super::cbor;
use super::guard::{Guard, emit, try_visit, type_of};
use super::items::{ARRAY, Items, MAP};
use super::{FormatError, Visitor};
use crate::cbor::{Major, head};
use crate::model::Models;
use crate::{Path, PathError, Records, Sink};

/// Decimal fractions only if `DECIMALS`.
pub(super) fn decode<const DECIMALS: bool>(
    base: &Path,
    payload: &[u8],
    models: &dyn Models,
    scratch: &mut [u8],
    visit: &mut Visitor<'_>,
) -> Result<(), FormatError> {
    let mut decoder = Decoder {
        items: Items::new(payload),
        base,
        models,
        scratch,
        visit,
    };
    decoder.map::<DECIMALS>(Path::ROOT)?;
    if decoder.items.is_empty() {
        Ok(())
    } else {
        Err(FormatError::TrailingBytes)
    }
}

struct Decoder<'d, 'v> {
    items: Items<'d>,
    base: &'d Path,
    models: &'d dyn Models,
    scratch: &'d mut [u8],
    visit: &'d mut Visitor<'v>,
}

impl Decoder<'_, '_> {
    /// What is below a path; every level has a key, so there are as many as a path has ids.
    fn map<const DECIMALS: bool>(&mut self, above: Path) -> Result<(), FormatError> {
        let mut left = self.items.head_of(MAP)?.count();
        while self.items.more(&mut left)? {
            let path = self.key(above)?;
            match self.items.major()? {
                MAP => self.map::<DECIMALS>(path)?,
                _ => self.value::<DECIMALS>(path)?,
            }
        }
        Ok(())
    }

    fn key(&mut self, above: Path) -> Result<Path, FormatError> {
        if self.items.major()? != ARRAY {
            return self.id(above);
        }
        let mut left = self.items.head_of(ARRAY)?.count();
        let mut path = above;
        while self.items.more(&mut left)? {
            path = self.id(path)?;
        }
        if path == above {
            return Err(FormatError::Syntax);
        }
        Ok(path)
    }

    fn id(&mut self, above: Path) -> Result<Path, FormatError> {
        let id = self.items.head()?.integer()?;
        let id = u16::try_from(id).map_err(|_| FormatError::BadPath(PathError::TooLarge))?;
        let error = match above.depth() {
            4 => PathError::TooDeep,
            _ => PathError::Reserved,
        };
        above.child(id).ok_or(FormatError::BadPath(error))
    }

    fn value<const DECIMALS: bool>(&mut self, path: Path) -> Result<(), FormatError> {
        if !path.starts_with(self.base) {
            return Err(FormatError::OutsideBase(path));
        }
        let expected = type_of(self.models, &path)?;
        let value = cbor::value::<DECIMALS>(&mut self.items, expected, self.scratch)?;
        emit(self.models, path, None, value, self.visit)
    }
}

/// Nested maps of indefinite length: nobody counts what is below a path.
pub(super) fn encode(
    base: &Path,
    records: &dyn Records,
    sink: &mut dyn Sink,
) -> Result<(), FormatError> {
    const OPEN: u8 = 0xbf;
    const END: u8 = 0xff;
    let mut guard = Guard::new(base);
    let mut last = Path::ROOT;
    sink.write(&[OPEN]);
    try_visit(records, &mut |path, value| {
        guard.check(path)?;
        let both = last.ids().iter().zip(path.ids());
        let shared = both.take_while(|(a, b)| a == b).count();
        // The map that the last id of `last` is a key of stays open if it is one of `path` too.
        for _ in shared + 1..last.depth() {
            sink.write(&[END]);
        }
        for (depth, id) in path.ids().iter().enumerate().skip(shared) {
            if depth > shared {
                sink.write(&[OPEN]);
            }
            head(sink, Major::Unsigned, u64::from(*id));
        }
        cbor::write(sink, value);
        last = *path;
        Ok(())
    })?;
    for _ in 1..last.depth() {
        sink.write(&[END]);
    }
    sink.write(&[END]);
    Ok(())
}

#[cfg(test)]
#[path = "lwm2m_cbor_tests.rs"]
mod tests;
