//! Definitions written in code: what an application says of an object that is not built in.

use crate::ValueType;
use crate::model::{ObjectModel, Operations, Range, ResourceModel, Version};

impl ObjectModel {
    /// A definition in a `const`; `resources` by ascending id. Whether there may be several
    /// instances is `multiple`.
    #[must_use]
    pub const fn new(
        id: u16,
        version: Version,
        multiple: bool,
        resources: &'static [ResourceModel],
    ) -> Self {
        Self {
            id,
            version,
            multiple,
            mandatory: false,
            resources,
            #[cfg(feature = "alloc")]
            name: "",
        }
    }
}

impl ResourceModel {
    /// An optional resource with one value of any range; [`ValueType::None`] for an executable.
    #[must_use]
    pub const fn new(id: u16, operations: Operations, value_type: ValueType) -> Self {
        Self {
            id,
            operations,
            multiple: false,
            mandatory: false,
            value_type,
            range: &Range::Any,
            #[cfg(feature = "alloc")]
            name: "",
            #[cfg(feature = "alloc")]
            unit: "",
        }
    }

    /// The same with several instances.
    #[must_use]
    pub const fn with_instances(mut self) -> Self {
        self.multiple = true;
        self
    }

    /// The same, which every instance has.
    #[must_use]
    pub const fn that_is_mandatory(mut self) -> Self {
        self.mandatory = true;
        self
    }

    /// The same with values in a range.
    #[must_use]
    pub const fn with_range(mut self, range: &'static Range) -> Self {
        self.range = range;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;

    const RESOURCES: &[ResourceModel] = &[
        ResourceModel::new(5700, Operations::R, ValueType::Float),
        ResourceModel::new(5701, Operations::RW, ValueType::Integer)
            .with_range(&Range::Integer(0, 9))
            .with_instances(),
    ];
    const OBJECT: ObjectModel = ObjectModel::new(3303, Version::V1_1, true, RESOURCES);

    #[test]
    fn a_definition_in_code_is_found_and_checks_values() {
        assert_eq!((OBJECT.id(), OBJECT.version()), (3303, Version::V1_1));
        let value = OBJECT.resource(5700).unwrap();
        assert!(value.operations().readable() && !value.multiple());
        let number = OBJECT.resource(5701).unwrap();
        assert!(number.multiple() && number.check(&Value::Integer(9)).is_ok());
        assert!(number.check(&Value::Integer(10)).is_err());
        assert_eq!(OBJECT.resource(5702), None);
    }
}
