//! Inference (27304), instance 0: the module on trial, else the committed one.

use lwm2m_objects::model::{ObjectModel, objects};
use lwm2m_objects::{Objlnk, Path, Value, ids};
use tinsmith_coap::Code;
use tinsmith_module::Module;

use crate::device::Device;
use crate::engine::Arena;
use crate::object::{Body, Context, Done, Object, Part, Target, Values, View};

pub(super) struct Inference;

/// /27304/0/5 and /6.
pub(crate) const INPUT: u16 = 5;
const OUTPUT: u16 = 6;

impl Object for Inference {
    fn definition(&self) -> &'static ObjectModel {
        &objects::INFERENCE
    }

    fn read(&self, view: &View<'_>, _: u16, values: &mut Values<'_>) {
        read(view, values);
    }

    fn body(&self, view: &View<'_>, target: Target) -> Result<Body, Code> {
        if target.resource != INPUT {
            return Ok(Body::Value);
        }
        let max = view.device.input_bytes(view.platform);
        let max = max.ok_or(Code::METHOD_NOT_ALLOWED)?;
        Ok(Body::Stream { max: max as u32 })
    }

    fn write(
        &self,
        context: &mut Context<'_, '_>,
        target: Target,
        value: Value<'_>,
    ) -> Result<Done, Code> {
        write(context, target.resource, value)
    }

    /// Straight into the arena.
    fn write_part(
        &self,
        context: &mut Context<'_, '_>,
        _: Target,
        part: Part<'_>,
    ) -> Result<Done, Code> {
        let device = &mut *context.device;
        if device.is_busy() {
            return Err(Code::SERVICE_UNAVAILABLE);
        }
        let total = device.input_bytes(context.platform);
        let offset = part.offset as usize;
        let whole = total == Some(offset + part.bytes.len());
        let written = device.write_input(offset, part.bytes, context.platform);
        if !written || (part.last && !whole) {
            device.forget_input();
            return Err(Code::BAD_REQUEST);
        }
        if part.last {
            device.engine.content = Arena::Input;
        }
        Ok(Done::Now)
    }

    fn execute(
        &self,
        context: &mut Context<'_, '_>,
        target: Target,
        _: &[u8],
    ) -> Result<Done, Code> {
        match target.resource {
            4 => Device::start_inference(context),
            22 => {
                context.device.engine.statistics.reset();
                context.device.log.changed();
                Ok(Done::Now)
            }
            _ => Err(Code::METHOD_NOT_ALLOWED),
        }
    }

    /// /27304/0/11: the class is not worth a notification.
    fn is_quiet(&self, view: &View<'_>, path: &Path) -> bool {
        let of_class = matches!(*path.ids(), [ids::INFERENCE, _, 7..=9]);
        of_class && view.device.engine.is_doubtful()
    }
}

fn read(view: &View<'_>, values: &mut Values<'_>) {
    let device = view.device;
    let engine = &device.engine;
    let running = device.update.state.running();
    let module = running.and_then(|slot| device.module_in(slot, view.platform));
    let link = running.map_or(Objlnk::NULL, |slot| Objlnk {
        object: ids::ML_MODEL,
        instance: u16::from(slot),
    });
    let number = |n: u64| Value::UnsignedInteger(n);
    values.put(0, Value::Objlnk(link));
    values.put(1, Value::Boolean(engine.enabled));
    values.put(2, Value::Integer(0));
    if engine.content == Arena::Output
        && let Some(module) = &module
    {
        put_output(view, module, values);
    }
    if let Some(class) = &engine.class {
        values.put(7, number(u64::from(class.index)));
        values.put(8, Value::Float(f64::from(class.score)));
        let label = module
            .as_ref()
            .and_then(|m| m.labels().nth(class.index as usize));
        if let Some(label) = label {
            values.put(9, Value::String(label));
        }
    }
    if engine.timestamp != 0 {
        values.put(10, Value::Time(engine.timestamp));
    }
    values.put(11, Value::Float(engine.threshold));
    let statistics = &engine.statistics;
    values.put(12, number(statistics.count));
    values.put(13, number(statistics.errors));
    values.put(14, number(statistics.latency_last));
    values.put(15, number(statistics.latency_max));
    if let Some(module) = &module {
        values.put(17, number(module.arena_bytes() as u64));
        let classes = module.labels().count();
        for (k, n) in statistics.histogram.iter().enumerate().take(classes) {
            values.put_instance(19, k as u16, number(u64::from(*n)));
        }
    }
}

/// The output tensors one behind the other. One tensor is read where it lies; several are put
/// together in a buffer, as far as they fit.
fn put_output(view: &View<'_>, module: &Module<'_>, values: &mut Values<'_>) {
    let count = module.outputs().count();
    let tensor = |i| {
        module
            .output_range(i)
            .and_then(|range| view.device.engine.arena.get(range))
    };
    if count == 1 {
        values.put(OUTPUT, Value::Opaque(tensor(0).unwrap_or(&[])));
        return;
    }
    let Ok(mut all) = view.device.scratch.try_borrow_mut() else {
        return;
    };
    let mut len = 0;
    for bytes in (0..count).filter_map(tensor) {
        let Some(place) = all.get_mut(len..len + bytes.len()) else {
            return;
        };
        place.copy_from_slice(bytes);
        len += bytes.len();
    }
    values.put(OUTPUT, Value::Opaque(&all[..len]));
}

fn write(context: &mut Context<'_, '_>, resource: u16, value: Value<'_>) -> Result<Done, Code> {
    let device = &mut *context.device;
    match (resource, value) {
        (0, Value::Objlnk(link)) => {
            // There is one pipeline, and it runs what is on trial or committed.
            let running = device.update.state.running().map(u16::from);
            if link.object != ids::ML_MODEL || Some(link.instance) != running {
                return Err(Code::BAD_REQUEST);
            }
        }
        (1, Value::Boolean(enabled)) => device.engine.enabled = enabled,
        // On Run only: this client has no sensor of its own.
        (2, Value::Integer(0)) => {}
        (11, Value::Float(threshold)) => device.engine.threshold = threshold,
        (INPUT, _) if device.is_busy() => return Err(Code::SERVICE_UNAVAILABLE),
        (INPUT, Value::Opaque(bytes)) => {
            let total = device.input_bytes(context.platform);
            let total = total.ok_or(Code::METHOD_NOT_ALLOWED)?;
            if bytes.len() != total || !device.write_input(0, bytes, context.platform) {
                return Err(Code::BAD_REQUEST);
            }
            device.engine.content = Arena::Input;
        }
        (0 | 1 | 2 | 11 | INPUT, _) => return Err(Code::BAD_REQUEST),
        _ => return Err(Code::NOT_FOUND),
    }
    device.log.changed();
    Ok(Done::Now)
}
