//! Inference (27304), instance 0: the module on trial, else the committed one.

use lwm2m_objects::ids::{INFERENCE, ML_MODEL, inference as ids};
use lwm2m_objects::model::{ObjectModel, objects};
use lwm2m_objects::{Objlnk, Path, Value};
use tinsmith_coap::Code;
use tinsmith_module::Module;

use crate::device::Arena;
use crate::handler::{Body, Done, Part, Target};
use crate::object::{Context, Object, Values, View};

pub(super) struct Inference;

impl Object for Inference {
    fn definition(&self) -> &'static ObjectModel {
        &objects::INFERENCE
    }

    fn read(&self, view: &View<'_>, _: u16, values: &mut Values<'_>) {
        read(view, values);
    }

    fn body(&self, view: &View<'_>, target: Target) -> Result<Body, Code> {
        if target.resource != ids::INPUT {
            return Ok(Body::Value);
        }
        let max = view.device.input_bytes(view.platform);
        let max = max.ok_or(Code::METHOD_NOT_ALLOWED)?;
        Ok(Body::Stream { max: max as u32 })
    }

    fn check(
        &self,
        context: &Context<'_, '_>,
        target: Target,
        value: Value<'_>,
    ) -> Result<(), Code> {
        check(context, target.resource, value)
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
            ids::RUN => {
                let ticket = context.ticket();
                context.device.start_inference(ticket)
            }
            ids::RESET_STATISTICS => {
                context.device.engine.statistics.reset();
                context.device.log.changed();
                Ok(Done::Now)
            }
            _ => Err(Code::METHOD_NOT_ALLOWED),
        }
    }

    /// /27304/0/11: the class is not worth a notification.
    fn is_quiet(&self, view: &View<'_>, path: &Path) -> bool {
        let of_class = matches!(*path.ids(), [INFERENCE, _, ids::CLASS..=ids::LABEL]);
        of_class && view.device.engine.is_doubtful()
    }
}

fn read(view: &View<'_>, values: &mut Values<'_>) {
    let device = view.device;
    let engine = &device.engine;
    let running = device.update.state.running();
    let module = running.and_then(|slot| device.module_in(slot, view.platform));
    let link = running.map_or(Objlnk::NULL, |slot| Objlnk {
        object: ML_MODEL,
        instance: u16::from(slot),
    });
    values.put(ids::MODEL, Value::Objlnk(link));
    values.put(ids::ENABLED, Value::Boolean(engine.enabled));
    values.integer(ids::MODE, 0);
    if engine.content == Arena::Output
        && let Some(module) = &module
    {
        put_output(view, module, values);
    }
    if let Some(class) = &engine.class {
        values.unsigned(ids::CLASS, u64::from(class.index));
        values.put(ids::SCORE, Value::Float(f64::from(class.score)));
        let label = module
            .as_ref()
            .and_then(|m| m.labels().nth(class.index as usize));
        if let Some(label) = label {
            values.string(ids::LABEL, label);
        }
    }
    if engine.timestamp != 0 {
        values.put(ids::TIMESTAMP, Value::Time(engine.timestamp));
    }
    values.put(ids::REPORT_THRESHOLD, Value::Float(engine.threshold));
    let statistics = &engine.statistics;
    values.unsigned(ids::COUNT, statistics.count);
    values.unsigned(ids::ERRORS, statistics.errors);
    values.unsigned(ids::LATENCY_LAST, statistics.latency_last);
    values.unsigned(ids::LATENCY_MAX, statistics.latency_max);
    if let Some(module) = &module {
        values.unsigned(ids::ARENA_PEAK, module.arena_bytes() as u64);
        let classes = module.labels().count();
        for (k, n) in statistics.histogram.iter().enumerate().take(classes) {
            values.put_instance(
                ids::CLASS_HISTOGRAM,
                k as u16,
                Value::UnsignedInteger(u64::from(*n)),
            );
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
        values.opaque(ids::OUTPUT, tensor(0).unwrap_or(&[]));
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
    values.opaque(ids::OUTPUT, &all[..len]);
}

fn check(context: &Context<'_, '_>, resource: u16, value: Value<'_>) -> Result<(), Code> {
    let device = &*context.device;
    let is_fine = match (resource, value) {
        (ids::MODEL, Value::Objlnk(link)) => {
            // There is one pipeline, and it runs what is on trial or committed.
            let running = device.update.state.running().map(u16::from);
            link.object == ML_MODEL && Some(link.instance) == running
        }
        (ids::ENABLED | ids::REPORT_THRESHOLD, _) => true,
        // On Run only: this client has no sensor of its own.
        (ids::MODE, mode) => mode == Value::Integer(0),
        (ids::INPUT, _) if device.is_busy() => return Err(Code::SERVICE_UNAVAILABLE),
        (ids::INPUT, Value::Opaque(bytes)) => {
            let total = device.input_bytes(context.platform);
            bytes.len() == total.ok_or(Code::METHOD_NOT_ALLOWED)?
        }
        _ => return Err(Code::NOT_FOUND),
    };
    is_fine.then_some(()).ok_or(Code::BAD_REQUEST)
}

fn write(context: &mut Context<'_, '_>, resource: u16, value: Value<'_>) -> Result<Done, Code> {
    let device = &mut *context.device;
    match (resource, value) {
        (ids::ENABLED, Value::Boolean(enabled)) => device.engine.enabled = enabled,
        (ids::REPORT_THRESHOLD, Value::Float(threshold)) => device.engine.threshold = threshold,
        (ids::INPUT, Value::Opaque(bytes)) => {
            if !device.write_input(0, bytes, context.platform) {
                return Err(Code::BAD_REQUEST);
            }
            device.engine.content = Arena::Input;
        }
        // Model and Mode are what they can be.
        _ => {}
    }
    device.log.changed();
    Ok(Done::Now)
}
