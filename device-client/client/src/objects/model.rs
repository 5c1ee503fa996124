//! ML Model (27303): one instance for each slot.

use lwm2m_objects::ids::{FIRMWARE_UPDATE, ML_MODEL, ml_model as ids};
use lwm2m_objects::model::{ObjectModel, objects};
use lwm2m_objects::{Objlnk, Value};
use tinsmith_coap::Code;
use tinsmith_module::Module;

use crate::flash::SLOTS;
use crate::handler::{Done, Target};
use crate::object::{Context, Object, Values, View};
use crate::update::slot::{ModelResult, SlotState};

pub(super) struct Model;

/// Default argument of Activate, seconds.
const DEFAULT_TRIAL_S: u32 = 600;

impl Object for Model {
    fn definition(&self) -> &'static ObjectModel {
        &objects::ML_MODEL
    }

    fn instances(&self, _: &View<'_>, f: &mut dyn FnMut(u16)) {
        (0..SLOTS as u16).for_each(f);
    }

    fn read(&self, view: &View<'_>, instance: u16, values: &mut Values<'_>) {
        read(view, instance, values);
    }

    fn execute(
        &self,
        context: &mut Context<'_, '_>,
        target: Target,
        arguments: &[u8],
    ) -> Result<Done, Code> {
        execute(context, target, arguments)
    }
}

fn link(slot: Option<u8>) -> Value<'static> {
    Value::Objlnk(slot.map_or(Objlnk::NULL, |slot| Objlnk {
        object: ML_MODEL,
        instance: u16::from(slot),
    }))
}

fn read(view: &View<'_>, instance: u16, values: &mut Values<'_>) {
    let device = view.device;
    let update = &device.update.state;
    let Some(slot) = update.slots.get(usize::from(instance)) else {
        return;
    };
    let filled = slot.state != SlotState::Empty;
    let opaque = |bytes| if filled { bytes } else { &[][..] };
    let module = device.module_in(instance as u8, view.platform);
    values.string(ids::MODEL_NAME, slot.name.as_str());
    values.string(ids::MODEL_VERSION, slot.version.as_str());
    values.opaque(ids::SOURCE_DIGEST, opaque(&slot.source));
    values.opaque(ids::MODULE_DIGEST, opaque(&slot.digest));
    values.string(ids::COMPILER, slot.compiler.as_str());
    values.opaque(ids::BUILT_FOR, opaque(&slot.built_for));
    let package = Objlnk {
        object: FIRMWARE_UPDATE,
        instance: 0,
    };
    values.put(
        ids::PACKAGE_LINK,
        Value::Objlnk(if filled { package } else { Objlnk::NULL }),
    );
    let (state, result) = device.update.shown.slots[usize::from(instance)];
    values.integer(ids::STATE, state as i64);
    values.integer(ids::RESULT, result as i64);
    let on_trial = slot.state == SlotState::Trial;
    let left = if on_trial {
        device.update.trial_left(view.now)
    } else {
        0
    };
    values.unsigned(ids::TRIAL_REMAINING, left);
    values.unsigned(ids::ARENA_REQUIRED, u64::from(slot.arena));
    values.unsigned(ids::STORAGE_USED, u64::from(slot.size));
    values.unsigned(ids::MACS, module.as_ref().map_or(0, Module::macs));
    values.opaque(
        ids::INPUTS,
        module.as_ref().map_or(&[], Module::input_descriptor),
    );
    values.opaque(
        ids::OUTPUTS,
        module.as_ref().map_or(&[], Module::output_descriptor),
    );
    if let Some(module) = &module {
        for (i, label) in module.labels().enumerate() {
            values.put_instance(ids::LABELS, i as u16, Value::String(label));
        }
    }
    let previous = match slot.state {
        SlotState::Trial => update.active(),
        SlotState::Active => update.previous,
        _ => None,
    };
    values.put(ids::PREVIOUS_MODULE, link(previous));
    let receiver = device.update.receiver.as_ref();
    let receiver = receiver.filter(|_| slot.state == SlotState::Receiving);
    let tag = receiver
        .and_then(|r| r.tag.as_ref())
        .map_or(&[][..], |t| t.as_slice());
    values.opaque(ids::RECEIVING_PACKAGE, tag);
    values.unsigned(
        ids::RECEIVED_BYTES,
        receiver.map_or(0, |r| u64::from(r.told())),
    );
    values.unsigned(ids::SEQUENCE_FLOOR, device.trust.floor(update.floor));
}

fn execute(context: &mut Context<'_, '_>, target: Target, arguments: &[u8]) -> Result<Done, Code> {
    let slot = target.instance as u8;
    let ticket = context.ticket();
    let device = &mut *context.device;
    let not_now = |_| Code::METHOD_NOT_ALLOWED;
    match target.resource {
        ids::ACTIVATE => {
            let seconds = seconds(arguments).ok_or(Code::BAD_REQUEST)?;
            let activated = device.update.state.activate(slot, Some(seconds));
            activated.map_err(not_now)?;
            device.trial_started(context.now, slot);
        }
        ids::COMMIT => {
            // What is committed has passed its self test.
            if device.update.self_test_due.is_some() {
                return device.commit_later(slot, ticket);
            }
            device.update.state.commit(slot).map_err(not_now)?;
            device.update.trial_deadline = None;
            device.update_changed();
        }
        ids::ROLLBACK => {
            let rolled_back = device.update.state.roll_back(slot, ModelResult::None);
            rolled_back.map_err(not_now)?;
            device.trial_ended();
            device.update_changed();
        }
        ids::SELF_TEST => {
            let holds = device.update.state.slots.get(usize::from(slot));
            if !holds.is_some_and(|s| s.state.holds_module()) {
                return Err(Code::METHOD_NOT_ALLOWED);
            }
            if device.is_busy() {
                return Err(Code::SERVICE_UNAVAILABLE);
            }
            device.start_self_test(slot, Some(ticket));
            return Ok(Done::Later);
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
