//! Device (object 3).

use lwm2m_objects::Value;
use lwm2m_objects::ids::device as ids;
use lwm2m_objects::model::{ObjectModel, objects};
use tinsmith_coap::Code;

use crate::handler::{Done, Target};
use crate::object::{Context, Object, Values, View};

pub(super) struct Device;

impl Object for Device {
    fn definition(&self) -> &'static ObjectModel {
        &objects::DEVICE
    }

    fn read(&self, view: &View<'_>, _: u16, values: &mut Values<'_>) {
        let config = &view.device.config;
        values.string(ids::MANUFACTURER, config.manufacturer);
        values.string(ids::MODEL_NUMBER, config.model_number);
        values.string(ids::SERIAL_NUMBER, config.serial_number);
        values.string(ids::FIRMWARE_VERSION, config.firmware_version);
        let error = i64::from(view.device.error_code);
        values.put_instance(ids::ERROR_CODE, 0, Value::Integer(error));
        values.put(ids::CURRENT_TIME, Value::Time(view.wall()));
        values.string(ids::SUPPORTED_BINDING_AND_MODES, "U");
    }

    fn check(&self, _: &Context<'_, '_>, target: Target, _: Value<'_>) -> Result<(), Code> {
        match target.resource {
            ids::CURRENT_TIME => Ok(()),
            _ => Err(Code::NOT_FOUND),
        }
    }

    fn write(
        &self,
        context: &mut Context<'_, '_>,
        _: Target,
        value: Value<'_>,
    ) -> Result<Done, Code> {
        let time = value.as_i64().ok_or(Code::BAD_REQUEST)?;
        context.device.wall_offset = time.saturating_sub(context.now.wall);
        Ok(Done::Now)
    }

    fn execute(
        &self,
        context: &mut Context<'_, '_>,
        target: Target,
        _: &[u8],
    ) -> Result<Done, Code> {
        match target.resource {
            ids::REBOOT => context.device.wishes.reboot = true,
            ids::RESET_ERROR_CODE => {
                context.device.error_code = 0;
                context.device.log.changed();
            }
            _ => return Err(Code::METHOD_NOT_ALLOWED),
        }
        Ok(Done::Now)
    }

    fn offers(&self, _: &View<'_>, _: u16, resource: u16) -> bool {
        matches!(resource, ids::REBOOT | ids::RESET_ERROR_CODE)
    }
}
