//! Firmware Update (object 5, version 1.1), by push. The package itself is a body that can go on
//! after a reset, see [`crate::update::push`].

use lwm2m_objects::Value;
use lwm2m_objects::model::{ObjectModel, objects};
use tinsmith_coap::Code;

use crate::object::{Body, Context, Done, Object, Part, Target, Values, View};
use crate::update::firmware::Trigger;

pub(super) struct Firmware;

/// /5/0/0
const PACKAGE: u16 = 0;
/// /5/0/9: push only.
const PUSH: i64 = 1;

impl Object for Firmware {
    fn definition(&self) -> &'static ObjectModel {
        &objects::FIRMWARE_UPDATE
    }

    fn read(&self, view: &View<'_>, _: u16, values: &mut Values<'_>) {
        let update = &view.device.update;
        let module = update.state.target.or(update.state.running());
        let module = module.map(|s| &update.state.slots[usize::from(s)]);
        values.put(1, Value::String(""));
        let firmware = update.shown.firmware;
        values.put(3, Value::Integer(firmware.state as i64));
        values.put(5, Value::Integer(firmware.result as i64));
        if let Some(module) = module {
            values.put(6, Value::String(module.name.as_str()));
            values.put(7, Value::String(module.version.as_str()));
        }
        values.put(9, Value::Integer(PUSH));
    }

    fn body(&self, _: &View<'_>, target: Target) -> Result<Body, Code> {
        Ok(match target.resource {
            PACKAGE => Body::Resumable,
            _ => Body::Value,
        })
    }

    fn write(
        &self,
        context: &mut Context<'_, '_>,
        target: Target,
        value: Value<'_>,
    ) -> Result<Done, Code> {
        match (target.resource, value) {
            // NULL in a format other than opaque.
            (PACKAGE, Value::Opaque([] | [0])) | (1, Value::String("")) => {
                context.device.abandon(Trigger::Reset)
            }
            (PACKAGE, _) => Err(Code::UNSUPPORTED_CONTENT_FORMAT),
            // There is no pull.
            (1, _) => Err(Code::BAD_REQUEST),
            _ => Err(Code::NOT_FOUND),
        }
    }

    fn write_part(
        &self,
        context: &mut Context<'_, '_>,
        _: Target,
        part: Part<'_>,
    ) -> Result<Done, Code> {
        context.device.push(part, context.platform)
    }

    fn execute(
        &self,
        context: &mut Context<'_, '_>,
        target: Target,
        _: &[u8],
    ) -> Result<Done, Code> {
        match target.resource {
            2 => {
                let update = &mut context.device.update.state;
                let slot = update.start_update();
                let slot = slot.map_err(|_| Code::METHOD_NOT_ALLOWED)?;
                context.device.trial_started(context.now, slot);
                Ok(Done::Stored)
            }
            10 => context.device.abandon(Trigger::Cancel),
            _ => Err(Code::METHOD_NOT_ALLOWED),
        }
    }
}
