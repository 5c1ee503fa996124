//! Compute Platform (27300), Compute Unit (27301) and Memory Region (27302): what the board says,
//! and what the client knows itself.

use lwm2m_objects::{Path, Value, ids};

use super::{Emit, Object, Tree, not_executable, not_writable, one_instance};

pub(super) const PLATFORM: Object = Object {
    id: ids::COMPUTE_PLATFORM,
    instances: one_instance,
    read: read_platform,
    write: not_writable,
    execute: not_executable,
};

pub(super) const UNIT: Object = Object {
    id: ids::COMPUTE_UNIT,
    instances: |tree, f| crate::facts::instances(tree.client.config.capability, UNIT.id, f),
    read: |tree, instance, emit| read(tree, UNIT.id, instance, emit),
    write: not_writable,
    execute: not_executable,
};

pub(super) const REGION: Object = Object {
    id: ids::MEMORY_REGION,
    instances: |tree, f| crate::facts::instances(tree.client.config.capability, REGION.id, f),
    read: |tree, instance, emit| read(tree, REGION.id, instance, emit),
    write: not_writable,
    execute: not_executable,
};

fn read(tree: &Tree<'_, '_>, object: u16, instance: u16, emit: &mut Emit<'_>) {
    let below = Path::instance(object, instance);
    tree.client.config.capability.visit(&mut |path, value| {
        if let (true, Some(resource)) = (path.starts_with(&below), path.resource_id()) {
            emit(resource, path.resource_instance_id(), value);
        }
    });
}

/// Resources of 27300 that the client knows better than the board.
const OWN: [u16; 3] = [6, 8, 13];

fn read_platform(tree: &Tree<'_, '_>, _: u16, emit: &mut Emit<'_>) {
    let client = tree.client;
    let update = &client.update;
    let slots = client.config.layout.slots.iter().zip(&update.slots);
    let storage: u64 = slots
        .filter(|(_, s)| s.size == 0)
        .map(|(region, _)| u64::from(region.size))
        .sum();
    let used = update
        .running()
        .map_or(0, |s| update.slots[usize::from(s)].arena);
    let arena = u64::from(client.facts.arena_total.saturating_sub(used));
    let mut own = OWN.iter().peekable();
    let tell = |resource: u16, emit: &mut Emit<'_>| match resource {
        6 => emit(6, None, Value::UnsignedInteger(arena)),
        8 => emit(8, None, Value::UnsignedInteger(storage)),
        _ => emit(13, None, Value::Opaque(&client.facts.digest)),
    };
    read(
        tree,
        ids::COMPUTE_PLATFORM,
        0,
        &mut |resource, sub, value| {
            while let Some(id) = own.next_if(|id| **id < resource) {
                tell(*id, emit);
            }
            if !OWN.contains(&resource) {
                emit(resource, sub, value);
            }
        },
    );
    for id in own {
        tell(*id, emit);
    }
}
