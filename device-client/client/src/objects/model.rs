//! ML Model (27303): one instance for each slot.

use lwm2m_objects::{Objlnk, Value, ids};
use tinsmith_coap::Code;
use tinsmith_module::Module;

use super::{Context, Done, Emit, Object, Tree, not_writable};
use crate::client::Client;
use crate::flash::SLOTS;
use crate::update::slot::{ModelResult, SlotState};

pub(super) const OBJECT: Object = Object {
    id: ids::ML_MODEL,
    instances,
    read,
    write: not_writable,
    execute,
};

/// Default argument of Activate, seconds.
const DEFAULT_TRIAL_S: u32 = 600;

fn instances(_: &Tree<'_, '_>, f: &mut dyn FnMut(u16)) {
    (0..SLOTS as u16).for_each(f);
}

fn link(slot: Option<u8>) -> Value<'static> {
    Value::Objlnk(slot.map_or(Objlnk::NULL, |slot| Objlnk {
        object: ids::ML_MODEL,
        instance: u16::from(slot),
    }))
}

fn read(tree: &Tree<'_, '_>, instance: u16, emit: &mut Emit<'_>) {
    let client = tree.client;
    let update = &client.update;
    let Some(slot) = update.slots.get(usize::from(instance)) else {
        return;
    };
    let number = |n: u64| Value::UnsignedInteger(n);
    let filled = slot.state != SlotState::Empty;
    let opaque = |bytes| Value::Opaque(if filled { bytes } else { &[] });
    let module = client.module_in(instance as u8, tree.platform);
    emit(0, None, Value::String(slot.name.as_str()));
    emit(1, None, Value::String(slot.version.as_str()));
    emit(2, None, opaque(&slot.source));
    emit(3, None, opaque(&slot.digest));
    emit(4, None, Value::String(slot.compiler.as_str()));
    emit(5, None, opaque(&slot.built_for));
    let package = Objlnk {
        object: ids::FIRMWARE_UPDATE,
        instance: 0,
    };
    emit(
        6,
        None,
        Value::Objlnk(if filled { package } else { Objlnk::NULL }),
    );
    let (state, result) = client.shown.slots[usize::from(instance)];
    emit(7, None, Value::Integer(state as i64));
    emit(8, None, Value::Integer(result as i64));
    let left = client
        .trial_deadline
        .filter(|_| slot.state == SlotState::Trial);
    let left = left.map_or(0, |at| client.trial_left(at, tree.now));
    emit(13, None, number(left));
    emit(14, None, number(u64::from(slot.arena)));
    emit(15, None, number(u64::from(slot.size)));
    emit(16, None, number(module.as_ref().map_or(0, Module::macs)));
    emit(
        17,
        None,
        Value::Opaque(module.as_ref().map_or(&[], Module::input_descriptor)),
    );
    emit(
        18,
        None,
        Value::Opaque(module.as_ref().map_or(&[], Module::output_descriptor)),
    );
    if let Some(module) = &module {
        for (i, label) in module.labels().enumerate() {
            emit(19, Some(i as u16), Value::String(label));
        }
    }
    let previous = match slot.state {
        SlotState::Trial => update.active(),
        SlotState::Active => update.previous,
        _ => None,
    };
    emit(20, None, link(previous));
    let receiver = client.receiver.as_ref();
    let receiver = receiver.filter(|_| slot.state == SlotState::Receiving);
    let tag = receiver
        .and_then(|r| r.tag.as_ref())
        .map_or(&[][..], |t| t.as_slice());
    emit(21, None, Value::Opaque(tag));
    emit(
        22,
        None,
        number(receiver.map_or(0, |r| u64::from(r.told()))),
    );
}

fn execute(
    client: &mut Client<'_>,
    context: &mut Context<'_>,
    instance: u16,
    resource: u16,
    arguments: &[u8],
) -> Result<Done, Code> {
    let slot = instance as u8;
    let not_now = |_| Code::METHOD_NOT_ALLOWED;
    match resource {
        9 => {
            let seconds = seconds(arguments).ok_or(Code::BAD_REQUEST)?;
            client
                .update
                .activate(slot, Some(seconds))
                .map_err(not_now)?;
            client.trial_started(context.now, slot);
        }
        10 => {
            // What is committed has passed its self test.
            if client.self_test_due.is_some() {
                return Err(Code::METHOD_NOT_ALLOWED);
            }
            client.update.commit(slot).map_err(not_now)?;
            client.trial_deadline = None;
            client.update_changed();
        }
        11 => {
            client
                .update
                .roll_back(slot, ModelResult::None)
                .map_err(not_now)?;
            client.trial_ended();
            client.update_changed();
        }
        12 => {
            let holds = client.update.slots.get(usize::from(slot));
            if !holds.is_some_and(|s| s.state.holds_module()) {
                return Err(Code::METHOD_NOT_ALLOWED);
            }
            client.run_self_test(slot, context.platform);
        }
        _ => return Err(Code::METHOD_NOT_ALLOWED),
    }
    Ok(Done::Stored)
}

/// Argument 0 of Activate: `0='SECONDS'`, or nothing (LwM2M TS 1.1 §6.3.5).
fn seconds(arguments: &[u8]) -> Option<u32> {
    if arguments.is_empty() {
        return Some(DEFAULT_TRIAL_S);
    }
    let text = core::str::from_utf8(arguments).ok()?;
    if text == "0" {
        return Some(DEFAULT_TRIAL_S);
    }
    text.strip_prefix("0='")?.strip_suffix('\'')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_activate() {
        assert_eq!(seconds(b""), Some(600));
        assert_eq!(seconds(b"0"), Some(600));
        assert_eq!(seconds(b"0='30'"), Some(30));
        for bad in [&b"0=30"[..], b"1='3'", b"0='x'", b"0='", b"\xff", b"0='-1'"] {
            assert_eq!(seconds(bad), None);
        }
    }
}
