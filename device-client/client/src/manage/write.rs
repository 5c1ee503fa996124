//! Write, Create and Delete: payloads to values, values to the handlers of an object.

use lwm2m_objects::format::{ContentFormat, FormatError, codec};
use lwm2m_objects::model::{ObjectModel, Subset};
use lwm2m_objects::{Path, Value};
use tinsmith_coap::Code;

use crate::handler::{Done, Origin, Target};
use crate::object::{Context, Object};

/// An object as the table has it.
pub(crate) type Entry<'o> = (&'o dyn Object, &'static ObjectModel);

/// The code for a payload that can't be decoded.
pub(crate) fn format_code(error: FormatError) -> Code {
    match error {
        FormatError::UnsupportedFormat(_) => Code::UNSUPPORTED_CONTENT_FORMAT,
        _ => Code::BAD_REQUEST,
    }
}

/// Whether the sender may write this value there, and the object takes it.
fn check(
    context: &Context<'_, '_>,
    (object, definition): Entry<'_>,
    path: &Path,
    value: Value<'_>,
) -> Result<(), Code> {
    let resource = path.resource_id().and_then(|id| definition.resource(id));
    let resource = resource.ok_or(Code::NOT_FOUND)?;
    if !resource.operations().writable() && context.origin != Origin::Bootstrap {
        return Err(Code::METHOD_NOT_ALLOWED);
    }
    if path.depth() == 4 && !resource.multiple() {
        return Err(Code::BAD_REQUEST);
    }
    resource.check(&value).map_err(|_| Code::BAD_REQUEST)?;
    match target_of(path) {
        Some(target) => object.check(context, target, value),
        None => Err(Code::BAD_REQUEST),
    }
}

fn target_of(path: &Path) -> Option<Target> {
    let [_, instance, resource, ref rest @ ..] = *path.ids() else {
        return None;
    };
    Some(Target {
        instance,
        resource,
        resource_instance: rest.first().copied(),
    })
}

/// The resources that an instance is not made or replaced without, a bit for each of the first 32.
fn mandatory(definition: &ObjectModel, of: Option<u16>) -> u32 {
    let all = definition.resources().iter();
    let all = all.filter(|r| r.mandatory() && r.operations().writable());
    all.zip(0..u32::BITS)
        .filter(|(r, _)| of.is_none_or(|id| id == r.id()))
        .fold(0, |bits, (_, at)| bits | 1 << at)
}

/// Checks every value of a payload; gives how many there are, and the instance of the last. If it
/// makes or replaces an instance (`whole`), the mandatory resources have to be there.
fn check_all(
    context: &Context<'_, '_>,
    entry: Entry<'_>,
    path: &Path,
    whole: bool,
    format: ContentFormat,
    payload: &[u8],
) -> Result<(usize, Option<u16>), FormatErrorOrCode> {
    let definition = entry.1;
    let scratch = context.device.scratch.try_borrow_mut();
    let mut scratch = scratch.map_err(|_| Code::INTERNAL_SERVER_ERROR)?;
    let models = Subset(&[definition]);
    let mut refused = Ok(());
    let (mut count, mut instance, mut given) = (0, None, 0);
    let mut visit = |record: lwm2m_objects::Record<'_>| {
        count += 1;
        let here = record.path.instance_id();
        if refused.is_ok() && instance.is_some() && instance != here {
            // One request writes one instance.
            refused = Err(Code::BAD_REQUEST);
        }
        instance = here;
        if refused.is_ok() {
            refused = check(context, entry, &record.path, record.value);
        }
        if whole {
            given |= record
                .path
                .resource_id()
                .map_or(0, |id| mandatory(definition, Some(id)));
        }
        Ok(())
    };
    let codec = codec(context.device.config.formats, format)?;
    codec.decode(path, payload, &models, &mut scratch[..], &mut visit)?;
    refused?;
    if whole && given != mandatory(definition, None) {
        return Err(Code::BAD_REQUEST.into());
    }
    Ok((count, instance))
}

enum FormatErrorOrCode {
    Format(FormatError),
    Code(Code),
}

impl From<FormatError> for FormatErrorOrCode {
    fn from(e: FormatError) -> Self {
        Self::Format(e)
    }
}

impl From<Code> for FormatErrorOrCode {
    fn from(code: Code) -> Self {
        Self::Code(code)
    }
}

impl FormatErrorOrCode {
    fn code(self) -> Code {
        match self {
            Self::Format(e) => format_code(e),
            Self::Code(code) => code,
        }
    }
}

/// Gives every value of a payload, which was checked, to the object.
fn take_all(
    context: &mut Context<'_, '_>,
    (object, definition): Entry<'_>,
    path: &Path,
    format: ContentFormat,
    payload: &[u8],
) -> Result<Done, Code> {
    let scratch = context.device.scratch;
    let scratch = scratch.try_borrow_mut();
    let mut scratch = scratch.map_err(|_| Code::INTERNAL_SERVER_ERROR)?;
    let formats = context.device.config.formats;
    let models = Subset(&[definition]);
    let mut done = Ok(Done::Now);
    let mut visit = |record: lwm2m_objects::Record<'_>| {
        if let (Some(target), Ok(before)) = (target_of(&record.path), done) {
            done = object.write(context, target, record.value);
            done = done.map(|done| before.and(done));
        }
        Ok(())
    };
    let decoded = codec(formats, format)
        .and_then(|codec| codec.decode(path, payload, &models, &mut scratch[..], &mut visit));
    decoded.map_err(format_code)?;
    done
}

/// Write: first every value is checked, then all are taken.
pub(crate) fn write_values(
    context: &mut Context<'_, '_>,
    entry: Entry<'_>,
    path: &Path,
    replaces: bool,
    format: ContentFormat,
    payload: &[u8],
) -> Result<Done, Code> {
    let checked = check_all(context, entry, path, replaces, format, payload);
    let (count, _) = checked.map_err(FormatErrorOrCode::code)?;
    if count == 0 && path.depth() > 2 {
        return Err(Code::BAD_REQUEST);
    }
    if replaces && let Some(instance) = path.instance_id() {
        entry.0.replace(context, instance);
    }
    let done = take_all(context, entry, path, format, payload);
    context.device.log.changed();
    done
}

/// Create: gives the path of the new instance.
pub(crate) fn create(
    context: &mut Context<'_, '_>,
    entry: Entry<'_>,
    format: ContentFormat,
    payload: &[u8],
) -> Result<(Path, Done), Code> {
    let (object, definition) = entry;
    let root = Path::object(definition.id());
    let wanted = match check_all(context, entry, &root, true, format, payload) {
        Ok((_, wanted)) => wanted,
        // Values without an instance: the client gives the id.
        Err(FormatErrorOrCode::Format(FormatError::Syntax)) if format == ContentFormat::TLV => {
            let any = Path::instance(definition.id(), 0);
            check_all(context, entry, &any, true, format, payload)
                .map_err(FormatErrorOrCode::code)?;
            None
        }
        Err(e) => return Err(e.code()),
    };
    let taken = |id| crate::objects::has_instance(object, &context.view(), id);
    if wanted.is_some_and(taken) {
        return Err(Code::BAD_REQUEST);
    }
    let (id, made) = object.create(context, wanted)?;
    let path = Path::instance(definition.id(), id);
    let base = if wanted.is_some() { root } else { path };
    let written = take_all(context, entry, &base, format, payload);
    context.device.log.changed();
    context.device.log.instances_changed();
    match written {
        Ok(written) => Ok((path, made.and(written))),
        Err(code) => {
            let _ = object.delete(context, id);
            Err(code)
        }
    }
}

/// Delete of an instance that exists.
pub(crate) fn delete(
    context: &mut Context<'_, '_>,
    object: &dyn Object,
    instance: u16,
) -> Result<Done, Code> {
    let done = object.delete(context, instance)?;
    context.device.log.changed();
    context.device.log.instances_changed();
    Ok(done)
}

/// Bootstrap-Write of an application's object: instances that are not there are made.
pub(crate) fn bootstrap_write(
    context: &mut Context<'_, '_>,
    entry: Entry<'_>,
    path: &Path,
    format: ContentFormat,
    payload: &[u8],
) -> Result<Done, Code> {
    let checked = check_all(context, entry, path, false, format, payload);
    let (_, instance) = checked.map_err(FormatErrorOrCode::code)?;
    let instance = path.instance_id().or(instance);
    let here = |id| crate::objects::has_instance(entry.0, &context.view(), id);
    let mut done = Done::Now;
    if instance.is_some_and(|id| !here(id)) {
        done = entry.0.create(context, instance)?.1;
        context.device.log.instances_changed();
    }
    let taken = take_all(context, entry, path, format, payload);
    context.device.log.changed();
    taken.map(|taken| done.and(taken))
}
