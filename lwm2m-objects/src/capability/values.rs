//! A capability to and from the resources of its objects.

use std::collections::{BTreeMap, BTreeSet};
use std::string::String;
use std::vec::Vec;

use super::{Capability, CapabilityError, Platform, Region, Unit, encode_kernels, kernels};
use crate::ids::{
    self, compute_platform as platform, compute_unit as unit, memory_region as region,
};
use crate::model::{self, ResourceModel};
use crate::{OwnedValue, Path, Records, Value};

impl Capability {
    /// A capability from what was read of objects 27300, 27301 and 27302; values of other
    /// objects, and of resources unknown here, are ignored.
    ///
    /// # Errors
    /// A mandatory resource is missing, or a value is not what its definition says.
    pub fn from_values(values: &[(Path, OwnedValue)]) -> Result<Self, CapabilityError> {
        let reader = Reader::new(values)?;
        Ok(Self {
            platform: reader.platform()?,
            units: reader.each(ids::COMPUTE_UNIT, &|at, id| reader.unit(at, id))?,
            regions: reader.each(ids::MEMORY_REGION, &|at, id| reader.region(at, id))?,
        })
    }

    /// All resources of the three objects, as a device gives them, in the order of their paths;
    /// the digest (27300/0/13) is among them.
    #[must_use]
    pub fn records(&self) -> Vec<(Path, OwnedValue)> {
        let mut records = self.constant_and_dynamic();
        let digest = super::digest(&records);
        let path = Path::resource(ids::COMPUTE_PLATFORM, 0, platform::CAPABILITY_DIGEST);
        records.push((path, OwnedValue::Opaque(digest.to_vec())));
        records.sort_by_key(|(path, _)| *path);
        records
    }

    pub(super) fn constant_and_dynamic(&self) -> Vec<(Path, OwnedValue)> {
        let mut writer = Writer::default();
        writer.platform(&self.platform);
        for unit in &self.units {
            writer.unit(unit);
        }
        for region in &self.regions {
            writer.region(region);
        }
        writer.records.sort_by_key(|(path, _)| *path);
        writer.records
    }
}

impl Records for Capability {
    fn visit(&self, f: &mut dyn FnMut(&Path, Value<'_>)) {
        self.records().visit(f);
    }
}

/// Checked values by path.
struct Reader<'v> {
    values: BTreeMap<Path, Value<'v>>,
}

impl<'v> Reader<'v> {
    fn new(values: &'v [(Path, OwnedValue)]) -> Result<Self, CapabilityError> {
        let mut checked = BTreeMap::new();
        for (path, value) in values {
            let Some(model) = definition(path) else {
                continue;
            };
            if model.multiple() != (path.depth() == 4) {
                return Err(CapabilityError::Instances(*path));
            }
            let value = value.as_value();
            let value = value.coerce(model.value_type()).unwrap_or(value);
            model
                .check(&value)
                .map_err(|error| CapabilityError::Invalid(*path, error))?;
            if checked.insert(*path, value).is_some() {
                return Err(CapabilityError::Duplicate(*path));
            }
        }
        Ok(Self { values: checked })
    }

    fn each<T>(
        &self,
        object: u16,
        read: &dyn Fn(Path, u16) -> Result<T, CapabilityError>,
    ) -> Result<Vec<T>, CapabilityError> {
        let instances: BTreeSet<u16> = self
            .values
            .keys()
            .filter(|path| path.object_id() == Some(object))
            .filter_map(Path::instance_id)
            .collect();
        if instances.is_empty() {
            return Err(CapabilityError::Missing(Path::object(object)));
        }
        instances
            .into_iter()
            .map(|id| read(Path::instance(object, id), id))
            .collect()
    }

    fn get(&self, instance: Path, id: u16) -> Option<Value<'v>> {
        self.values.get(&instance.child(id)?).copied()
    }

    fn need<T>(
        &self,
        instance: Path,
        id: u16,
        take: impl Fn(Value<'v>) -> Option<T>,
    ) -> Result<T, CapabilityError> {
        let missing = || CapabilityError::Missing(instance.child(id).unwrap_or(instance));
        self.get(instance, id).and_then(take).ok_or_else(missing)
    }

    fn text(&self, instance: Path, id: u16) -> Result<String, CapabilityError> {
        self.need(instance, id, |value| value.as_str().map(Into::into))
    }

    fn unsigned(&self, instance: Path, id: u16) -> Result<u64, CapabilityError> {
        self.need(instance, id, |value| value.as_u64())
    }

    fn integer(&self, instance: Path, id: u16) -> Result<i64, CapabilityError> {
        self.need(instance, id, |value| value.as_i64())
    }

    fn maybe<T>(
        &self,
        instance: Path,
        id: u16,
        take: impl Fn(&Value<'v>) -> Option<T>,
    ) -> Option<T> {
        self.get(instance, id).as_ref().and_then(take)
    }

    fn list<T>(&self, instance: Path, id: u16, take: impl Fn(&Value<'v>) -> Option<T>) -> Vec<T> {
        let Some(resource) = instance.child(id) else {
            return Vec::new();
        };
        let below = self
            .values
            .range(resource..)
            .take_while(|(path, _)| path.starts_with(&resource));
        below.filter_map(|(_, value)| take(value)).collect()
    }

    fn needed_list(&self, instance: Path, id: u16) -> Result<Vec<i64>, CapabilityError> {
        let list = self.list(instance, id, Value::as_i64);
        if list.is_empty() {
            return Err(CapabilityError::Missing(
                instance.child(id).unwrap_or(instance),
            ));
        }
        Ok(list)
    }

    fn platform(&self) -> Result<Platform, CapabilityError> {
        let at = Path::instance(ids::COMPUTE_PLATFORM, 0);
        Ok(Platform {
            platform_name: self.text(at, platform::PLATFORM_NAME)?,
            soc_part: self.text(at, platform::SOC_PART)?,
            compile_target: self.text(at, platform::COMPILE_TARGET)?,
            runtime_abi_version: self.unsigned(at, platform::RUNTIME_ABI_VERSION)?,
            module_formats: self.needed_list(at, platform::MODULE_FORMATS)?,
            arena_total: self.unsigned(at, platform::ARENA_TOTAL)?,
            arena_free: self.maybe(at, platform::ARENA_FREE, Value::as_u64),
            model_storage_total: self.unsigned(at, platform::MODEL_STORAGE_TOTAL)?,
            model_storage_free: self.unsigned(at, platform::MODEL_STORAGE_FREE)?,
            model_slots: self.unsigned(at, platform::MODEL_SLOTS)?,
            max_module_size: self.unsigned(at, platform::MAX_MODULE_SIZE)?,
            boot_protection: self.maybe(at, platform::BOOT_PROTECTION, Value::as_i64),
            signature_algorithms: self.list(at, platform::SIGNATURE_ALGORITHMS, Value::as_i64),
        })
    }

    fn unit(&self, at: Path, instance: u16) -> Result<Unit, CapabilityError> {
        let path = at.child(unit::OPERATORS).unwrap_or(at);
        let operators = match self.maybe(at, unit::OPERATORS, Value::as_bytes) {
            None => None,
            Some(bytes) => {
                let list = kernels(bytes).map_err(|e| CapabilityError::Kernels(path, e))?;
                Some(list.collect())
            }
        };
        let text = |value: &Value<'v>| value.as_str().map(String::from);
        Ok(Unit {
            instance,
            name: self.text(at, unit::NAME)?,
            unit_type: self.integer(at, unit::UNIT_TYPE)?,
            architecture: self.text(at, unit::ARCHITECTURE)?,
            extensions: self.list(at, unit::EXTENSIONS, text),
            clock_max: self.unsigned(at, unit::CLOCK_MAX)?,
            clock_current: self.maybe(at, unit::CLOCK_CURRENT, Value::as_u64),
            data_types: self.needed_list(at, unit::DATA_TYPES)?,
            measured_mac_rate: self.maybe(at, unit::MEASURED_MAC_RATE, Value::as_u64),
            instruction_cache: self.maybe(at, unit::INSTRUCTION_CACHE, Value::as_u64),
            data_cache: self.maybe(at, unit::DATA_CACHE, Value::as_u64),
            operators,
            kernel_library: self.maybe(at, unit::KERNEL_LIBRARY, text),
            load: self.maybe(at, unit::LOAD, Value::as_i64),
            energy_per_mac: self.maybe(at, unit::ENERGY_PER_MAC, Value::as_f64),
        })
    }

    fn region(&self, at: Path, instance: u16) -> Result<Region, CapabilityError> {
        Ok(Region {
            instance,
            name: self.text(at, region::NAME)?,
            kind: self.integer(at, region::KIND)?,
            start: self.unsigned(at, region::START)?,
            size: self.unsigned(at, region::SIZE)?,
            free: self.maybe(at, region::FREE, Value::as_u64),
            erase_unit: self.maybe(at, region::ERASE_UNIT, Value::as_u64),
            write_unit: self.maybe(at, region::WRITE_UNIT, Value::as_u64),
            access: self.unsigned(at, region::ACCESS)?,
            roles: self.list(at, region::ROLES, Value::as_i64),
            read_bandwidth: self.maybe(at, region::READ_BANDWIDTH, Value::as_u64),
            erase_time_max: self.maybe(at, region::ERASE_TIME_MAX, Value::as_f64),
            endurance: self.maybe(at, region::ENDURANCE, Value::as_u64),
        })
    }
}

/// The definition of a resource of the three objects, if the path leads to one.
fn definition(path: &Path) -> Option<&'static ResourceModel> {
    let object = path.object_id().filter(|object| {
        [ids::COMPUTE_PLATFORM, ids::COMPUTE_UNIT, ids::MEMORY_REGION].contains(object)
    })?;
    model::object(object)?.resource(path.resource_id()?)
}

#[derive(Default)]
struct Writer {
    at: Path,
    records: Vec<(Path, OwnedValue)>,
}

impl Writer {
    fn put(&mut self, id: u16, value: OwnedValue) {
        self.records
            .extend(self.at.child(id).map(|path| (path, value)));
    }

    fn text(&mut self, id: u16, text: &str) {
        self.put(id, OwnedValue::String(text.into()));
    }

    fn integer(&mut self, id: u16, value: impl Into<Option<i64>>) {
        if let Some(value) = value.into() {
            self.put(id, OwnedValue::Integer(value));
        }
    }

    fn unsigned(&mut self, id: u16, value: impl Into<Option<u64>>) {
        if let Some(value) = value.into() {
            self.put(id, OwnedValue::UnsignedInteger(value));
        }
    }

    fn float(&mut self, id: u16, value: Option<f64>) {
        if let Some(value) = value {
            self.put(id, OwnedValue::Float(value));
        }
    }

    fn list(&mut self, id: u16, values: impl Iterator<Item = OwnedValue>) {
        let resource = self.at.child(id);
        let paths = (0..=u16::MAX).map_while(|index| resource?.child(index));
        self.records.extend(paths.zip(values));
    }

    fn integers(&mut self, id: u16, values: &[i64]) {
        self.list(id, values.iter().copied().map(OwnedValue::Integer));
    }

    fn platform(&mut self, facts: &Platform) {
        self.at = Path::instance(ids::COMPUTE_PLATFORM, 0);
        self.text(platform::PLATFORM_NAME, &facts.platform_name);
        self.text(platform::SOC_PART, &facts.soc_part);
        self.text(platform::COMPILE_TARGET, &facts.compile_target);
        self.unsigned(platform::RUNTIME_ABI_VERSION, facts.runtime_abi_version);
        self.integers(platform::MODULE_FORMATS, &facts.module_formats);
        self.unsigned(platform::ARENA_TOTAL, facts.arena_total);
        self.unsigned(platform::ARENA_FREE, facts.arena_free);
        self.unsigned(platform::MODEL_STORAGE_TOTAL, facts.model_storage_total);
        self.unsigned(platform::MODEL_STORAGE_FREE, facts.model_storage_free);
        self.unsigned(platform::MODEL_SLOTS, facts.model_slots);
        self.unsigned(platform::MAX_MODULE_SIZE, facts.max_module_size);
        self.integer(platform::BOOT_PROTECTION, facts.boot_protection);
        self.integers(platform::SIGNATURE_ALGORITHMS, &facts.signature_algorithms);
    }

    fn unit(&mut self, facts: &Unit) {
        self.at = Path::instance(ids::COMPUTE_UNIT, facts.instance);
        self.text(unit::NAME, &facts.name);
        self.integer(unit::UNIT_TYPE, facts.unit_type);
        self.text(unit::ARCHITECTURE, &facts.architecture);
        self.list(
            unit::EXTENSIONS,
            facts.extensions.iter().cloned().map(OwnedValue::String),
        );
        self.unsigned(unit::CLOCK_MAX, facts.clock_max);
        self.unsigned(unit::CLOCK_CURRENT, facts.clock_current);
        self.integers(unit::DATA_TYPES, &facts.data_types);
        self.unsigned(unit::MEASURED_MAC_RATE, facts.measured_mac_rate);
        self.unsigned(unit::INSTRUCTION_CACHE, facts.instruction_cache);
        self.unsigned(unit::DATA_CACHE, facts.data_cache);
        if let Some(operators) = &facts.operators {
            let mut sorted = operators.clone();
            sorted.sort_unstable();
            sorted.dedup();
            let mut list = Vec::new();
            encode_kernels(&sorted, &mut list);
            self.put(unit::OPERATORS, OwnedValue::Opaque(list));
        }
        if let Some(library) = &facts.kernel_library {
            self.text(unit::KERNEL_LIBRARY, library);
        }
        self.integer(unit::LOAD, facts.load);
        self.float(unit::ENERGY_PER_MAC, facts.energy_per_mac);
    }

    fn region(&mut self, facts: &Region) {
        self.at = Path::instance(ids::MEMORY_REGION, facts.instance);
        self.text(region::NAME, &facts.name);
        self.integer(region::KIND, facts.kind);
        self.unsigned(region::START, facts.start);
        self.unsigned(region::SIZE, facts.size);
        self.unsigned(region::FREE, facts.free);
        self.unsigned(region::ERASE_UNIT, facts.erase_unit);
        self.unsigned(region::WRITE_UNIT, facts.write_unit);
        self.unsigned(region::ACCESS, facts.access);
        self.integers(region::ROLES, &facts.roles);
        self.unsigned(region::READ_BANDWIDTH, facts.read_bandwidth);
        self.float(region::ERASE_TIME_MAX, facts.erase_time_max);
        self.unsigned(region::ENDURANCE, facts.endurance);
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
