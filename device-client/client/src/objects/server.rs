//! LwM2M Server (object 1).

use lwm2m_objects::{Value, ids};
use tinsmith_coap::Code;

use super::{Context, Done, Emit, Object, Tree};
use crate::client::Client;
use crate::link::Role;
use crate::storage::ACCOUNTS;

pub(super) const OBJECT: Object = Object {
    id: ids::LWM2M_SERVER,
    instances,
    read,
    write,
    execute,
};

fn instances(tree: &Tree<'_, '_>, f: &mut dyn FnMut(u16)) {
    // In ascending order, whatever the order of the writes was.
    let servers = &tree.client.accounts.server;
    let mut next = 0;
    while let Some(id) = servers
        .iter()
        .flatten()
        .map(|s| s.id)
        .filter(|id| *id >= next)
        .min()
    {
        f(id);
        let Some(after) = id.checked_add(1) else {
            return;
        };
        next = after;
    }
}

fn read(tree: &Tree<'_, '_>, instance: u16, emit: &mut Emit<'_>) {
    let servers = &tree.client.accounts.server;
    let Some(s) = servers.iter().flatten().find(|s| s.id == instance) else {
        return;
    };
    emit(0, None, Value::Integer(i64::from(s.short_id)));
    emit(1, None, Value::Integer(i64::from(s.lifetime)));
    emit(2, None, Value::Integer(i64::from(s.pmin)));
    emit(3, None, Value::Integer(i64::from(s.pmax)));
    emit(5, None, Value::Integer(i64::from(s.disable_timeout)));
    emit(6, None, Value::Boolean(s.store_notifications));
    let binding = s.binding.as_str();
    emit(
        7,
        None,
        Value::String(if binding.is_empty() { "U" } else { binding }),
    );
}

/// Without Access Control objects, a server changes no account but its own.
fn own(context: &Context<'_>, wanted: u16) -> Result<(), Code> {
    match context.origin {
        Role::Server { instance, .. } if instance == wanted => Ok(()),
        _ => Err(Code::UNAUTHORIZED),
    }
}

fn write(
    client: &mut Client<'_>,
    context: &mut Context<'_>,
    instance: u16,
    resource: u16,
    value: Value<'_>,
) -> Result<Done, Code> {
    own(context, instance)?;
    let server = client
        .accounts
        .server_mut(instance)
        .ok_or(Code::NOT_FOUND)?;
    server.set(resource, value).ok_or(Code::BAD_REQUEST)?;
    if resource == ids::lwm2m_server::LIFETIME {
        client.trigger_update(context.now, instance);
    }
    client.storage.mark(ACCOUNTS);
    Ok(Done::Stored)
}

fn execute(
    client: &mut Client<'_>,
    context: &mut Context<'_>,
    instance: u16,
    resource: u16,
    _: &[u8],
) -> Result<Done, Code> {
    own(context, instance)?;
    match resource {
        8 => client.trigger_update(context.now, instance),
        9 => client.bootstrap_wanted = true,
        _ => return Err(Code::METHOD_NOT_ALLOWED),
    }
    Ok(Done::Now)
}
