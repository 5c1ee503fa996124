//! An object of an application, as much as one can be.

use std::cell::{Cell, RefCell};

use lwm2m_objects::model::{ObjectModel, Operations, Range, ResourceModel, Version};
use lwm2m_objects::{Path, Value, ValueType};
use tinsmith_coap::Code;

use crate::{Body, Context, Done, Object, Origin, Part, Target, Ticket, Values, View};

const RESOURCES: &[ResourceModel] = &[
    ResourceModel::new(1, Operations::RW, ValueType::Integer).with_range(&Range::Integer(0, 9)),
    ResourceModel::new(2, Operations::W, ValueType::Opaque),
    ResourceModel::new(3, Operations::R, ValueType::Opaque),
    ResourceModel::new(4, Operations::R, ValueType::Integer),
    ResourceModel::new(5700, Operations::R, ValueType::Float),
    ResourceModel::new(5605, Operations::E, ValueType::None),
];
pub(super) const MODEL: ObjectModel = ObjectModel::new(3303, Version::V1_1, true, {
    // By ascending id.
    const SORTED: &[ResourceModel] = &[
        RESOURCES[0],
        RESOURCES[1],
        RESOURCES[2],
        RESOURCES[3],
        RESOURCES[5],
        RESOURCES[4],
    ];
    SORTED
});

/// As much as an object can be: instances come and go, a log is taken in parts, a read and an
/// execute take their time.
#[derive(Default)]
pub(super) struct Sensor {
    pub(super) instances: RefCell<Vec<(u16, i64)>>,
    pub(super) celsius: Cell<f64>,
    pub(super) log: RefCell<Vec<u8>>,
    pub(super) slow: Cell<bool>,
    pub(super) ticket: Cell<Option<Ticket>>,
    pub(super) origins: RefCell<Vec<Origin>>,
}

impl Object for Sensor {
    fn definition(&self) -> &'static ObjectModel {
        &MODEL
    }

    fn instances(&self, _: &View<'_>, f: &mut dyn FnMut(u16)) {
        self.instances.borrow().iter().for_each(|(id, _)| f(*id));
    }

    fn read(&self, _: &View<'_>, instance: u16, values: &mut Values<'_>) {
        let instances = self.instances.borrow();
        let Some((_, level)) = instances.iter().find(|(id, _)| *id == instance) else {
            return;
        };
        values.put(1, Value::Integer(*level));
        values.put(3, Value::Opaque(&self.log.borrow()));
        values.put(4, Value::Integer(i64::from(self.slow.get())));
        values.put(5700, Value::Float(self.celsius.get()));
    }

    fn prepare(&self, context: &mut Context<'_, '_>, path: &Path) -> Result<Done, Code> {
        if path.resource_id() != Some(4) {
            return Ok(Done::Now);
        }
        self.ticket.set(Some(context.ticket()));
        Ok(Done::Later)
    }

    fn body(&self, _: &View<'_>, target: Target) -> Result<Body, Code> {
        Ok(match target.resource {
            2 => Body::Stream { max: 5_000 },
            _ => Body::Value,
        })
    }

    fn write(
        &self,
        context: &mut Context<'_, '_>,
        target: Target,
        value: Value<'_>,
    ) -> Result<Done, Code> {
        let mut instances = self.instances.borrow_mut();
        let found = instances.iter_mut().find(|(id, _)| *id == target.instance);
        let (_, level) = found.ok_or(Code::NOT_FOUND)?;
        self.origins.borrow_mut().push(context.origin);
        match value.as_i64() {
            Some(9) => Err(Code::CONFLICT),
            Some(n) => {
                *level = n;
                Ok(Done::Stored)
            }
            None => Err(Code::BAD_REQUEST),
        }
    }

    fn write_part(
        &self,
        context: &mut Context<'_, '_>,
        _: Target,
        part: Part<'_>,
    ) -> Result<Done, Code> {
        let mut log = self.log.borrow_mut();
        if part.offset == 0 {
            log.clear();
        }
        assert_eq!(part.offset as usize, log.len(), "in order, each once");
        log.extend_from_slice(part.bytes);
        if part.last {
            self.ticket.set(Some(context.ticket()));
            return Ok(Done::Later);
        }
        Ok(Done::Now)
    }

    fn execute(
        &self,
        context: &mut Context<'_, '_>,
        _: Target,
        arguments: &[u8],
    ) -> Result<Done, Code> {
        if arguments == b"0" {
            return Ok(Done::Now);
        }
        self.ticket.set(Some(context.ticket()));
        Ok(Done::Later)
    }

    fn create(&self, _: &mut Context<'_, '_>, instance: Option<u16>) -> Result<(u16, Done), Code> {
        let mut instances = self.instances.borrow_mut();
        if instances.len() == 3 {
            return Err(Code::SERVICE_UNAVAILABLE);
        }
        let taken = |id: u16| instances.iter().any(|(i, _)| *i == id);
        let id = instance.unwrap_or_else(|| (40..).find(|id| !taken(*id)).unwrap());
        instances.push((id, 0));
        instances.sort_unstable();
        Ok((id, Done::Now))
    }

    fn delete(&self, _: &mut Context<'_, '_>, instance: u16) -> Result<Done, Code> {
        self.instances
            .borrow_mut()
            .retain(|(id, _)| *id != instance);
        Ok(Done::Now)
    }

    fn takes_bootstrap(&self) -> bool {
        true
    }
}
