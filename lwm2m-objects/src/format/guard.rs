//! What all encoders and decoders check alike.

use super::{FormatError, Record, Visitor};
use crate::model::Models;
use crate::{Path, Records, Value, ValueType};

/// Type of a resource, if its definition is known.
pub(super) fn type_of(models: &dyn Models, path: &Path) -> Result<Option<ValueType>, FormatError> {
    let (Some(object), Some(resource)) = (path.object_id(), path.resource_id()) else {
        return Err(FormatError::NotAResource(*path));
    };
    match models
        .resource(object, resource)
        .map(|model| model.value_type())
    {
        Some(ValueType::None) => Err(FormatError::NoValue(*path)),
        known => Ok(known),
    }
}

/// Gives a record to the visitor, as the type that the definition says.
pub(super) fn emit(
    models: &dyn Models,
    path: Path,
    time: Option<f64>,
    value: Value<'_>,
    visit: &mut Visitor<'_>,
) -> Result<(), FormatError> {
    let value = match type_of(models, &path)? {
        None => value,
        Some(expected) => value
            .coerce(expected)
            .ok_or(FormatError::WrongType { path, expected })?,
    };
    visit(Record { path, time, value })
}

/// Checks the order of records while they are encoded.
pub(super) struct Guard<'b> {
    base: &'b Path,
    last: Option<Path>,
}

impl<'b> Guard<'b> {
    pub(super) fn new(base: &'b Path) -> Self {
        Self { base, last: None }
    }

    pub(super) fn check(&mut self, path: &Path) -> Result<(), FormatError> {
        if path.depth() < 3 {
            return Err(FormatError::NotAResource(*path));
        }
        if !path.starts_with(self.base) {
            return Err(FormatError::OutsideBase(*path));
        }
        if self
            .last
            .is_some_and(|last| *path <= last || path.starts_with(&last))
        {
            return Err(FormatError::NotInOrder(*path));
        }
        self.last = Some(*path);
        Ok(())
    }
}

/// Visits all records in a way that can fail; after an error the rest is passed over.
pub(super) fn try_visit(
    records: &dyn Records,
    f: &mut dyn FnMut(&Path, Value<'_>) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    let mut result = Ok(());
    records.visit(&mut |path, value| {
        if result.is_ok() {
            result = f(path, value);
        }
    });
    result
}

/// Encodes the only record there is.
pub(super) fn single(
    base: &Path,
    records: &dyn Records,
    f: &mut dyn FnMut(&Path, Value<'_>) -> Result<(), FormatError>,
) -> Result<(), FormatError> {
    let mut guard = Guard::new(base);
    let mut any = false;
    try_visit(records, &mut |path, value| {
        guard.check(path)?;
        if any || path != base {
            return Err(FormatError::NotSingle);
        }
        any = true;
        f(path, value)
    })?;
    if any {
        Ok(())
    } else {
        Err(FormatError::NotSingle)
    }
}
