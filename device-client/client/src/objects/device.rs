//! Device (object 3).

use lwm2m_objects::{Value, ids};
use tinsmith_coap::Code;

use super::{Context, Done, Emit, Object, Tree, one_instance};
use crate::client::Client;

pub(super) const OBJECT: Object = Object {
    id: ids::DEVICE,
    instances: one_instance,
    read,
    write,
    execute,
};

fn read(tree: &Tree<'_, '_>, _: u16, emit: &mut Emit<'_>) {
    let config = &tree.client.config;
    emit(0, None, Value::String(config.manufacturer));
    emit(1, None, Value::String(config.model_number));
    emit(2, None, Value::String(config.serial_number));
    emit(3, None, Value::String(config.firmware_version));
    emit(
        11,
        Some(0),
        Value::Integer(i64::from(tree.client.error_code)),
    );
    emit(13, None, Value::Time(tree.wall()));
    emit(16, None, Value::String("U"));
}

fn write(
    client: &mut Client<'_>,
    context: &mut Context<'_>,
    _: u16,
    resource: u16,
    value: Value<'_>,
) -> Result<Done, Code> {
    if resource != 13 {
        return Err(Code::NOT_FOUND);
    }
    let time = value.as_i64().ok_or(Code::BAD_REQUEST)?;
    client.wall_offset = time.saturating_sub(context.now.wall);
    Ok(Done::Now)
}

fn execute(
    client: &mut Client<'_>,
    _: &mut Context<'_>,
    _: u16,
    resource: u16,
    _: &[u8],
) -> Result<Done, Code> {
    match resource {
        4 => client.reboot = true,
        12 => {
            client.error_code = 0;
            client.changed();
        }
        _ => return Err(Code::METHOD_NOT_ALLOWED),
    }
    Ok(Done::Now)
}
