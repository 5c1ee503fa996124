use super::*;
use crate::Objlnk;

#[test]
fn tables_are_sorted_and_found() {
    assert_eq!(models().len(), 15);
    assert!(models().is_sorted_by_key(|model| model.id()));
    for model in models() {
        assert_eq!(object(model.id()), Some(*model));
        assert!(model.resources().is_sorted_by_key(|resource| resource.id()));
        for resource in model.resources() {
            assert_eq!(model.resource(resource.id()), Some(resource));
            let executable = resource.operations().executable();
            assert_eq!(executable, resource.value_type() == ValueType::None);
        }
    }
    assert_eq!(object(8), None);
}

#[test]
fn some_facts() {
    let device = object(ids::DEVICE).unwrap();
    assert_eq!(device.version(), Version::V1_1);
    assert!(!device.multiple() && device.mandatory());
    let level = device.resource(ids::device::BATTERY_LEVEL).unwrap();
    assert_eq!(level.range(), Range::Integer(0, 100));
    assert_eq!(level.operations(), Operations::R);
    let unit = object(ids::COMPUTE_UNIT).unwrap();
    assert!(unit.multiple());
    assert!(
        unit.resource(ids::compute_unit::EXTENSIONS)
            .unwrap()
            .multiple()
    );
    assert_eq!(ids::ml_model::RECEIVED_BYTES, 22);
}

#[test]
fn versions() {
    assert!(Builtin.object(3, Some(Version::V1_1)).is_some());
    assert!(Builtin.object(3, Some(Version::V1_0)).is_none());
    assert!(NoModels.object(3, None).is_none());
    let subset = Subset(&[&objects::DEVICE]);
    assert!(subset.resource(3, 0).is_some());
    assert!(subset.object(3, Some(Version::V1_0)).is_none());
    assert!(subset.object(5, None).is_none());
    assert_eq!(Version::parse("1.1"), Some(Version::V1_1));
    for bad in ["", "1", "1.", ".1", "1.1.1", "+1.0", "1.256"] {
        assert_eq!(Version::parse(bad), None, "{bad}");
    }
}

#[test]
fn checks() {
    let model = |object: u16, resource| Builtin.resource(object, resource).copied().unwrap();
    let level = model(3, 9);
    assert_eq!(level.check(&Value::Integer(100)), Ok(()));
    let range = Range::Integer(0, 100);
    assert_eq!(
        level.check(&Value::Integer(101)),
        Err(RangeError::OutOfRange(range))
    );
    let wrong = RangeError::WrongType {
        expected: ValueType::Integer,
        found: ValueType::Objlnk,
    };
    assert_eq!(level.check(&Value::Objlnk(Objlnk::NULL)), Err(wrong));
    let digest = model(27300, 13);
    assert_eq!(digest.check(&Value::Opaque(&[0; 16])), Ok(()));
    let length = RangeError::WrongLength {
        found: 15,
        min: 16,
        max: 16,
    };
    assert_eq!(digest.check(&Value::Opaque(&[0; 15])), Err(length));
    let slots = model(27300, 9);
    assert!(slots.check(&Value::UnsignedInteger(u64::MAX)).is_err());
    assert!(slots.check(&Value::UnsignedInteger(255)).is_ok());
    let threshold = model(27304, 11);
    assert!(threshold.check(&Value::Float(0.5)).is_ok());
    assert!(threshold.check(&Value::Float(f64::NAN)).is_err());
}
