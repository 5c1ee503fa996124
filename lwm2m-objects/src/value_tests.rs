use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn floats_are_integers_as_conversion_says(
        bits in any::<u64>(), integer in any::<i64>(), shift in 0u32..64, part in 0u32..4,
    ) {
        let near = (integer >> shift) as f64 + f64::from(part) * 0.25;
        for float in [f64::from_bits(bits), near, near * 2.0, -near] {
            let value = Value::Float(float);
            let signed = Some(float as i64).filter(|n| *n as f64 == float && *n < i64::MAX);
            prop_assert_eq!(value.as_i64(), signed, "{}", float);
            let unsigned = Some(float as u64).filter(|n| *n as f64 == float && *n < u64::MAX);
            prop_assert_eq!(value.as_u64(), unsigned, "{}", float);
        }
    }
}

#[test]
fn ends_of_the_integers_as_floats() {
    let float = |x: f64| (Value::Float(x).as_i64(), Value::Float(x).as_u64());
    let two63 = 9_223_372_036_854_775_808.0;
    assert_eq!(float(two63), (None, Some(1 << 63)));
    assert_eq!(float(-two63), (Some(i64::MIN), None));
    assert_eq!(float(two63 * 2.0), (None, None));
    assert_eq!(float(-0.0), (Some(0), Some(0)));
    assert_eq!(float(f64::MIN_POSITIVE), (None, None));
    assert_eq!(float(f64::INFINITY), (None, None));
    assert_eq!(float(f64::NAN), (None, None));
}

#[test]
fn coercions_lose_nothing() {
    assert_eq!(
        Value::Integer(5).coerce(ValueType::Time),
        Some(Value::Time(5))
    );
    let unsigned = Some(Value::UnsignedInteger(5));
    assert_eq!(
        Value::Integer(5).coerce(ValueType::UnsignedInteger),
        unsigned
    );
    assert_eq!(
        Value::Float(5.0).coerce(ValueType::UnsignedInteger),
        unsigned
    );
    assert_eq!(Value::Integer(-1).coerce(ValueType::UnsignedInteger), None);
    assert_eq!(
        Value::UnsignedInteger(u64::MAX).coerce(ValueType::Integer),
        None
    );
    assert_eq!(Value::Float(0.5).coerce(ValueType::Integer), None);
    assert_eq!(Value::Float(1e19).coerce(ValueType::Integer), None);
    assert_eq!(Value::Float(f64::NAN).coerce(ValueType::Integer), None);
    assert_eq!(
        Value::Integer(2).coerce(ValueType::Float),
        Some(Value::Float(2.0))
    );
    assert_eq!(
        Value::String("a").coerce(ValueType::Corelnk),
        Some(Value::Corelnk("a"))
    );
    assert_eq!(Value::String("1").coerce(ValueType::Integer), None);
    assert_eq!(Value::Integer(1).coerce(ValueType::Boolean), None);
}

#[test]
fn object_links() {
    let link = Objlnk {
        object: 3,
        instance: 0,
    };
    assert_eq!(Objlnk::parse("3:0"), Some(link));
    assert_eq!(Objlnk::parse("65535:65535"), Some(Objlnk::NULL));
    for bad in [
        "", ":", "3", "3:", ":0", "03:0", "3:00", "3:0:0", "+3:0", "65536:0", "a:b",
    ] {
        assert_eq!(Objlnk::parse(bad), None, "{bad}");
    }
}

#[cfg(feature = "std")]
#[test]
fn json() {
    let values = [
        OwnedValue::Opaque(std::vec![0, 0xab]),
        OwnedValue::Objlnk(Objlnk {
            object: 3,
            instance: 0,
        }),
        OwnedValue::Float(0.5),
    ];
    let json = serde_json::to_string(&values).unwrap();
    assert_eq!(
        json,
        r#"[{"opaque":"00ab"},{"objlnk":{"object":3,"instance":0}},{"float":0.5}]"#
    );
    assert_eq!(
        serde_json::from_str::<std::vec::Vec<OwnedValue>>(&json).unwrap(),
        values
    );
}
