//! Inference (27304), instance 0: the module on trial, else the committed one.

use lwm2m_objects::{Objlnk, Path, Value, ids};
use tinsmith_coap::Code;
use tinsmith_module::{Class, Module};

use super::{Context, Done, Emit, Object, Tree, one_instance};
use crate::client::Client;
use crate::flash::FlashRead;

pub(super) const OBJECT: Object = Object {
    id: ids::INFERENCE,
    instances: one_instance,
    read,
    write,
    execute,
};

/// /27304/0/5 and /6.
pub(crate) const INPUT: u16 = 5;
const OUTPUT: u16 = 6;

/// Classes that are counted.
const CLASSES: usize = 32;

/// What the arena holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arena {
    /// Nothing of use.
    Undefined,
    /// All input tensors.
    Input,
    /// All output tensors of the last inference.
    Output,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Inference {
    enabled: bool,
    threshold: f64,
    pub(crate) arena: Arena,
    class: Option<Class>,
    timestamp: i64,
    count: u64,
    errors: u64,
    latency_last: u64,
    latency_max: u64,
    histogram: [u32; CLASSES],
}

impl Inference {
    pub(crate) const NEW: Self = Self {
        enabled: true,
        threshold: 0.0,
        arena: Arena::Undefined,
        class: None,
        timestamp: 0,
        count: 0,
        errors: 0,
        latency_last: 0,
        latency_max: 0,
        histogram: [0; CLASSES],
    };

    /// /27304/0/11: the class is not worth a notification.
    fn is_doubtful(&self) -> bool {
        self.class
            .is_some_and(|c| f64::from(c.score) < self.threshold)
    }

    /// Whether a change of what is at `path` is to be kept from observers.
    pub(crate) fn is_quiet(&self, path: &Path) -> bool {
        let of_class = matches!(*path.ids(), [ids::INFERENCE, _, 7..=9]);
        of_class && self.is_doubtful()
    }

    /// Another module runs now.
    pub(crate) fn forget_result(&mut self) {
        self.arena = Arena::Undefined;
        self.class = None;
        self.histogram = [0; CLASSES];
    }
}

fn read(tree: &Tree<'_, '_>, _: u16, emit: &mut Emit<'_>) {
    let client = tree.client;
    let i = &client.inference;
    let running = client.update.running();
    let module = running.and_then(|slot| client.module_in(slot, tree.platform));
    let link = running.map_or(Objlnk::NULL, |slot| Objlnk {
        object: ids::ML_MODEL,
        instance: u16::from(slot),
    });
    let number = |n: u64| Value::UnsignedInteger(n);
    emit(0, None, Value::Objlnk(link));
    emit(1, None, Value::Boolean(i.enabled));
    emit(2, None, Value::Integer(0));
    if i.arena == Arena::Output
        && let Some(module) = &module
    {
        emit_output(client, module, emit);
    }
    if let Some(class) = &i.class {
        emit(7, None, number(u64::from(class.index)));
        emit(8, None, Value::Float(f64::from(class.score)));
        let label = module
            .as_ref()
            .and_then(|m| m.labels().nth(class.index as usize));
        if let Some(label) = label {
            emit(9, None, Value::String(label));
        }
    }
    if i.timestamp != 0 {
        emit(10, None, Value::Time(i.timestamp));
    }
    emit(11, None, Value::Float(i.threshold));
    emit(12, None, number(i.count));
    emit(13, None, number(i.errors));
    emit(14, None, number(i.latency_last));
    emit(15, None, number(i.latency_max));
    if let Some(module) = &module {
        emit(17, None, number(module.arena_bytes() as u64));
        for (k, n) in i.histogram.iter().enumerate().take(module.labels().count()) {
            emit(19, Some(k as u16), number(u64::from(*n)));
        }
    }
}

/// The output tensors one behind the other. One tensor is read where it lies; several are put
/// together in a buffer, as far as they fit.
fn emit_output(client: &Client<'_>, module: &Module<'_>, emit: &mut Emit<'_>) {
    let count = module.outputs().count();
    let tensor = |i| {
        module
            .output_range(i)
            .and_then(|range| client.arena.get(range))
    };
    if count == 1 {
        emit(OUTPUT, None, Value::Opaque(tensor(0).unwrap_or(&[])));
        return;
    }
    let mut all = [0; 1024];
    let mut len = 0;
    for bytes in (0..count).filter_map(tensor) {
        let Some(place) = all.get_mut(len..len + bytes.len()) else {
            return;
        };
        place.copy_from_slice(bytes);
        len += bytes.len();
    }
    emit(OUTPUT, None, Value::Opaque(&all[..len]));
}

fn write(
    client: &mut Client<'_>,
    context: &mut Context<'_>,
    _: u16,
    resource: u16,
    value: Value<'_>,
) -> Result<Done, Code> {
    match (resource, value) {
        (0, Value::Objlnk(link)) => {
            // There is one pipeline, and it runs what is on trial or committed.
            let running = client.update.running().map(u16::from);
            if link.object != ids::ML_MODEL || Some(link.instance) != running {
                return Err(Code::BAD_REQUEST);
            }
        }
        (1, Value::Boolean(enabled)) => client.inference.enabled = enabled,
        // On Run only: this client has no sensor of its own.
        (2, Value::Integer(0)) => {}
        (11, Value::Float(threshold)) => client.inference.threshold = threshold,
        (INPUT, Value::Opaque(bytes)) => {
            let total = client
                .input_bytes(context.platform)
                .ok_or(Code::METHOD_NOT_ALLOWED)?;
            if bytes.len() != total || !client.write_input(0, bytes, context.platform) {
                return Err(Code::BAD_REQUEST);
            }
            client.inference.arena = Arena::Input;
        }
        (0 | 1 | 2 | 11 | INPUT, _) => return Err(Code::BAD_REQUEST),
        _ => return Err(Code::NOT_FOUND),
    }
    client.changed();
    Ok(Done::Now)
}

fn execute(
    client: &mut Client<'_>,
    context: &mut Context<'_>,
    _: u16,
    resource: u16,
    _: &[u8],
) -> Result<Done, Code> {
    match resource {
        4 => {
            let ran = client.run_inference(context);
            // Only the same input written once more is an input again.
            client.forget_input();
            ran?;
        }
        22 => {
            let (enabled, threshold) = (client.inference.enabled, client.inference.threshold);
            let (arena, class) = (client.inference.arena, client.inference.class);
            client.inference = Inference {
                enabled,
                threshold,
                arena,
                class,
                ..Inference::NEW
            };
        }
        _ => return Err(Code::METHOD_NOT_ALLOWED),
    }
    client.changed();
    Ok(Done::Now)
}

impl Client<'_> {
    /// The module in a slot, checked; none if the slot holds none.
    pub(crate) fn module_in<'f>(&self, slot: u8, flash: &'f dyn FlashRead) -> Option<Module<'f>> {
        let entry = self.update.slots.get(usize::from(slot))?;
        if !entry.state.holds_module() {
            return None;
        }
        let region = self.config.layout.slots.get(usize::from(slot))?;
        Module::parse(flash.read(region.offset, entry.size)).ok()
    }

    fn running_module<'f>(&self, flash: &'f dyn FlashRead) -> Option<Module<'f>> {
        self.module_in(self.update.running()?, flash)
    }

    /// Bytes of all input tensors; none without a module.
    pub(crate) fn input_bytes(&self, flash: &dyn FlashRead) -> Option<usize> {
        let module = self.running_module(flash)?;
        Some(module.inputs().map(|t| t.bytes as usize).sum())
    }

    /// Writes part of the inputs, which lie one behind the other, to the arena.
    pub(crate) fn write_input(
        &mut self,
        offset: usize,
        bytes: &[u8],
        flash: &dyn FlashRead,
    ) -> bool {
        let Some(module) = self.running_module(flash) else {
            return false;
        };
        self.inference.arena = Arena::Undefined;
        let mut start = 0;
        let mut done = 0;
        for i in 0..module.inputs().count() {
            let Some(range) = module.input_range(i) else {
                return false;
            };
            let end = start + range.len();
            let from = (offset + done).max(start);
            let to = (offset + bytes.len()).min(end);
            if from < to {
                let place = range.start + from - start..range.start + to - start;
                let part = bytes.get(from - offset..to - offset);
                let (Some(place), Some(part)) = (self.arena.get_mut(place), part) else {
                    return false;
                };
                place.copy_from_slice(part);
                done += part.len();
            }
            start = end;
        }
        done == bytes.len()
    }

    fn run_inference(&mut self, context: &mut Context<'_>) -> Result<(), Code> {
        if !self.inference.enabled || self.inference.arena != Arena::Input {
            return Err(Code::METHOD_NOT_ALLOWED);
        }
        let platform: &dyn crate::platform::Platform = context.platform;
        let module = self
            .running_module(platform)
            .ok_or(Code::METHOD_NOT_ALLOWED)?;
        let begin = platform.micros();
        let outcome = module.run(self.arena);
        let latency = platform.micros().saturating_sub(begin);
        let i = &mut self.inference;
        let Ok(class) = outcome else {
            i.errors += 1;
            i.arena = Arena::Undefined;
            return Err(Code::INTERNAL_SERVER_ERROR);
        };
        i.count += 1;
        i.latency_last = latency;
        i.latency_max = i.latency_max.max(latency);
        i.class = class;
        i.arena = Arena::Output;
        if let Some(n) = class.and_then(|c| i.histogram.get_mut(c.index as usize)) {
            *n = n.saturating_add(1);
        }
        if context.now.wall != 0 || self.wall_offset != 0 {
            i.timestamp = context.now.wall.saturating_add(self.wall_offset);
        }
        Ok(())
    }
}
