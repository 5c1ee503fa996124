//! Firmware Update (object 5, version 1.1), by push. The package itself is a body that can go on
//! after a reset.

use lwm2m_objects::Value;
use lwm2m_objects::ids::firmware_update as ids;
use lwm2m_objects::model::{ObjectModel, objects};
use tinsmith_coap::Code;

use crate::handler::{Body, Done, Part, Target};
use crate::object::{Context, Object, Values, View};
use crate::update::firmware::Trigger;

pub(super) struct Firmware;

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
        values.string(ids::PACKAGE_URI, "");
        let firmware = update.shown.firmware;
        values.integer(ids::STATE, firmware.state as i64);
        values.integer(ids::UPDATE_RESULT, firmware.result as i64);
        if let Some(module) = module {
            values.string(ids::PKGNAME, module.name.as_str());
            values.string(ids::PKGVERSION, module.version.as_str());
        }
        values.integer(ids::FIRMWARE_UPDATE_DELIVERY_METHOD, PUSH);
    }

    fn body(&self, _: &View<'_>, target: Target) -> Result<Body, Code> {
        Ok(match target.resource {
            ids::PACKAGE => Body::Resumable,
            _ => Body::Value,
        })
    }

    fn check(&self, _: &Context<'_, '_>, target: Target, value: Value<'_>) -> Result<(), Code> {
        match (target.resource, value) {
            // NULL in a format other than opaque.
            (ids::PACKAGE, Value::Opaque([] | [0])) | (ids::PACKAGE_URI, Value::String("")) => {
                Ok(())
            }
            (ids::PACKAGE, _) => Err(Code::UNSUPPORTED_CONTENT_FORMAT),
            // There is no pull.
            (ids::PACKAGE_URI, _) => Err(Code::BAD_REQUEST),
            _ => Err(Code::NOT_FOUND),
        }
    }

    /// What passes the check is a reset.
    fn write(&self, context: &mut Context<'_, '_>, _: Target, _: Value<'_>) -> Result<Done, Code> {
        context.device.abandon(Trigger::Reset)
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
            ids::UPDATE => {
                let update = &mut context.device.update.state;
                let slot = update.start_update();
                let slot = slot.map_err(|_| Code::METHOD_NOT_ALLOWED)?;
                context.device.trial_started(context.now, slot);
                Ok(Done::Stored)
            }
            ids::CANCEL => context.device.abandon(Trigger::Cancel),
            _ => Err(Code::METHOD_NOT_ALLOWED),
        }
    }
}
