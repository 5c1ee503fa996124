//! Device (object 3).

use lwm2m_objects::Value;
use lwm2m_objects::model::{ObjectModel, objects};
use tinsmith_coap::Code;

use crate::object::{Context, Done, Object, Target, Values, View};

pub(super) struct Device;

impl Object for Device {
    fn definition(&self) -> &'static ObjectModel {
        &objects::DEVICE
    }

    fn read(&self, view: &View<'_>, _: u16, values: &mut Values<'_>) {
        let config = &view.device.config;
        values.put(0, Value::String(config.manufacturer));
        values.put(1, Value::String(config.model_number));
        values.put(2, Value::String(config.serial_number));
        values.put(3, Value::String(config.firmware_version));
        let error = i64::from(view.device.error_code);
        values.put_instance(11, 0, Value::Integer(error));
        values.put(13, Value::Time(view.wall()));
        values.put(16, Value::String("U"));
    }

    fn write(
        &self,
        context: &mut Context<'_, '_>,
        target: Target,
        value: Value<'_>,
    ) -> Result<Done, Code> {
        if target.resource != 13 {
            return Err(Code::NOT_FOUND);
        }
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
            4 => context.device.wishes.reboot = true,
            12 => {
                context.device.error_code = 0;
                context.device.log.changed();
            }
            _ => return Err(Code::METHOD_NOT_ALLOWED),
        }
        Ok(Done::Now)
    }
}
