//! Compute Platform (27300), Compute Unit (27301) and Memory Region (27302): what the board says,
//! and what the client knows itself.

use lwm2m_objects::ids::{self, compute_platform as platform};
use lwm2m_objects::model::{ObjectModel, objects};
use lwm2m_objects::{Path, Records as _, Value};
use tinsmith_coap::Code;

use crate::handler::{Done, Origin, Target};
use crate::object::{Context, Object, Values, View};

pub(super) struct Platform;

pub(super) struct Unit;

pub(super) struct Region;

impl Object for Platform {
    fn definition(&self) -> &'static ObjectModel {
        &objects::COMPUTE_PLATFORM
    }

    fn read(&self, view: &View<'_>, _: u16, values: &mut Values<'_>) {
        read_platform(view, values);
    }

    fn takes_bootstrap(&self) -> bool {
        true
    }

    fn offers(&self, view: &View<'_>, _: u16, _: u16) -> bool {
        !view.device.config.signatures.is_empty()
    }

    /// Only trust anchors, and only of the bootstrap server.
    fn check(
        &self,
        context: &Context<'_, '_>,
        target: Target,
        value: Value<'_>,
    ) -> Result<(), Code> {
        if target.resource != platform::TRUST_ANCHOR {
            return Err(Code::METHOD_NOT_ALLOWED);
        }
        if context.origin != Origin::Bootstrap {
            return Err(Code::UNAUTHORIZED);
        }
        context.device.check_anchor(target, value)
    }

    fn write(
        &self,
        context: &mut Context<'_, '_>,
        _: Target,
        value: Value<'_>,
    ) -> Result<Done, Code> {
        let ticket = context.ticket();
        context.device.write_anchor(ticket, value)
    }
}

impl Object for Unit {
    fn definition(&self) -> &'static ObjectModel {
        &objects::COMPUTE_UNIT
    }

    fn instances(&self, view: &View<'_>, f: &mut dyn FnMut(u16)) {
        view.device.capability().instances(ids::COMPUTE_UNIT, f);
    }

    fn read(&self, view: &View<'_>, instance: u16, values: &mut Values<'_>) {
        board(view, ids::COMPUTE_UNIT, instance, values);
    }
}

impl Object for Region {
    fn definition(&self) -> &'static ObjectModel {
        &objects::MEMORY_REGION
    }

    fn instances(&self, view: &View<'_>, f: &mut dyn FnMut(u16)) {
        view.device.capability().instances(ids::MEMORY_REGION, f);
    }

    fn read(&self, view: &View<'_>, instance: u16, values: &mut Values<'_>) {
        board(view, ids::MEMORY_REGION, instance, values);
    }
}

fn put(values: &mut Values<'_>, resource: u16, sub: Option<u16>, value: Value<'_>) {
    match sub {
        None => values.put(resource, value),
        Some(sub) => values.put_instance(resource, sub, value),
    }
}

fn board(view: &View<'_>, object: u16, instance: u16, values: &mut Values<'_>) {
    let below = Path::instance(object, instance);
    view.device.capability().visit(&mut |path, value| {
        if let (true, Some(resource)) = (path.starts_with(&below), path.resource_id()) {
            put(values, resource, path.resource_instance_id(), value);
        }
    });
}

/// Resources of 27300 that the client knows better than the board.
const OWN: [u16; 3] = [
    platform::ARENA_FREE,
    platform::MODEL_STORAGE_FREE,
    platform::CAPABILITY_DIGEST,
];

fn read_platform(view: &View<'_>, values: &mut Values<'_>) {
    let device = view.device;
    let update = &device.update.state;
    let slots = device.config.layout.slots.iter().zip(&update.slots);
    let storage: u64 = slots
        .filter(|(_, s)| s.size == 0)
        .map(|(region, _)| u64::from(region.size))
        .sum();
    let used = update
        .running()
        .map_or(0, |s| update.slots[usize::from(s)].arena);
    let arena = u64::from(device.facts.arena_total.saturating_sub(used));
    let mut own = OWN.iter().peekable();
    let tell = |values: &mut Values<'_>, resource: u16| match resource {
        platform::ARENA_FREE => values.unsigned(resource, arena),
        platform::MODEL_STORAGE_FREE => values.unsigned(resource, storage),
        _ => values.put(resource, Value::Opaque(&device.facts.digest)),
    };
    let below = Path::instance(ids::COMPUTE_PLATFORM, 0);
    device.capability().visit(&mut |path, value| {
        let (true, Some(resource)) = (path.starts_with(&below), path.resource_id()) else {
            return;
        };
        while let Some(id) = own.next_if(|id| **id < resource) {
            tell(values, *id);
        }
        if !OWN.contains(&resource) {
            put(values, resource, path.resource_instance_id(), value);
        }
    });
    for id in own {
        tell(values, *id);
    }
    for (i, anchor) in (0..).zip(device.trust.anchors.iter()) {
        let id = Value::Opaque(anchor.id());
        values.put_instance(platform::TRUST_ANCHOR_IDS, i, id);
    }
}
