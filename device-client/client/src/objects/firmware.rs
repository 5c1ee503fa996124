//! Firmware Update (object 5, version 1.1), by push. The package itself is a stream, see
//! [`crate::update::push`].

use lwm2m_objects::{Value, ids};
use tinsmith_coap::Code;

use super::{Context, Done, Emit, Object, Tree, one_instance};
use crate::client::Client;
use crate::update::firmware::Trigger;

pub(super) const OBJECT: Object = Object {
    id: ids::FIRMWARE_UPDATE,
    instances: one_instance,
    read,
    write,
    execute,
};

/// /5/0/9: push only.
const PUSH: i64 = 1;

fn read(tree: &Tree<'_, '_>, _: u16, emit: &mut Emit<'_>) {
    let update = &tree.client.update;
    let module = update
        .target
        .or(update.running())
        .map(|s| &update.slots[usize::from(s)]);
    emit(1, None, Value::String(""));
    let firmware = tree.client.shown.firmware;
    emit(3, None, Value::Integer(firmware.state as i64));
    emit(5, None, Value::Integer(firmware.result as i64));
    if let Some(module) = module {
        emit(6, None, Value::String(module.name.as_str()));
        emit(7, None, Value::String(module.version.as_str()));
    }
    emit(9, None, Value::Integer(PUSH));
}

fn write(
    client: &mut Client<'_>,
    _: &mut Context<'_>,
    _: u16,
    resource: u16,
    value: Value<'_>,
) -> Result<Done, Code> {
    match (resource, value) {
        // NULL in a format other than opaque.
        (0, Value::Opaque([] | [0])) | (1, Value::String("")) => client.abandon(Trigger::Reset),
        (0, _) => Err(Code::UNSUPPORTED_CONTENT_FORMAT),
        // There is no pull.
        (1, _) => Err(Code::BAD_REQUEST),
        _ => Err(Code::NOT_FOUND),
    }
}

fn execute(
    client: &mut Client<'_>,
    context: &mut Context<'_>,
    _: u16,
    resource: u16,
    _: &[u8],
) -> Result<Done, Code> {
    match resource {
        2 => {
            let slot = client
                .update
                .start_update()
                .map_err(|_| Code::METHOD_NOT_ALLOWED)?;
            client.trial_started(context.now, slot);
            Ok(Done::Stored)
        }
        10 => client.abandon(Trigger::Cancel),
        _ => Err(Code::METHOD_NOT_ALLOWED),
    }
}
