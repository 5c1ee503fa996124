use crate::capability::{Capability, CapabilityError, Platform, Region, Unit, digest};
use crate::format::{ContentFormat, decode_all, encode_vec};
use crate::model::Builtin;
use crate::{OwnedValue, Path, Value};

fn sample() -> Capability {
    Capability {
        platform: Platform {
            platform_name: "host".into(),
            soc_part: "nRF52840_xxAA".into(),
            compile_target: "thumbv7em-none-eabihf".into(),
            runtime_abi_version: 1,
            module_formats: vec![2],
            arena_total: 98_304,
            arena_free: Some(98_304),
            model_storage_total: 524_288,
            model_storage_free: 524_288,
            model_slots: 2,
            max_module_size: 262_144,
            boot_protection: None,
            signature_algorithms: vec![-8, -7],
        },
        units: vec![Unit {
            instance: 0,
            name: "cortex-m4".into(),
            unit_type: 0,
            architecture: "armv7e-m".into(),
            extensions: vec!["dsp".into(), "fpv4-sp-d16".into()],
            clock_max: 64_000_000,
            clock_current: None,
            data_types: vec![0, 1, 2, 4],
            measured_mac_rate: Some(12_000_000),
            instruction_cache: Some(4096),
            data_cache: None,
            operators: Some(vec![(1, 1), (2, 1), (300, 2)]),
            kernel_library: None,
            load: Some(3),
            energy_per_mac: Some(1e-11),
        }],
        regions: vec![Region {
            instance: 0,
            name: "FLASH".into(),
            kind: 0,
            start: 0,
            size: 1 << 20,
            free: None,
            erase_unit: Some(4096),
            write_unit: Some(4),
            access: 5,
            roles: vec![1, 3],
            read_bandwidth: None,
            erase_time_max: Some(0.085),
            endurance: Some(10_000),
        }],
    }
}

#[test]
fn a_server_that_reads_it_gets_the_digest_of_the_device() {
    let capability = sample();
    let records = capability.records();
    assert!(records.is_sorted_by_key(|(path, _)| *path));
    let reported = digest(&records);
    assert_eq!(reported, capability.digest());
    for format in [
        ContentFormat::TLV,
        ContentFormat::SENML_CBOR,
        ContentFormat::SENML_JSON,
    ] {
        let mut read = Vec::new();
        for object in 27300..=27302 {
            let base = Path::object(object);
            let below: Vec<_> = records
                .iter()
                .filter(|(path, _)| path.starts_with(&base))
                .cloned()
                .collect();
            let payload = encode_vec(format, &base, &below).unwrap();
            read.extend(decode_all(format, &base, &payload, &Builtin).unwrap());
        }
        let decoded = Capability::from_values(&read).unwrap();
        assert_eq!(decoded, capability, "{format}");
        assert_eq!(decoded.digest(), reported);
    }
}

#[test]
fn moving_values_do_not_change_the_digest_and_constants_do() {
    let mut other = sample();
    other.platform.platform_name = "other".into();
    other.platform.model_storage_free = 0;
    other.platform.arena_free = None;
    other.units[0].measured_mac_rate = None;
    other.units[0].load = None;
    other.units[0].energy_per_mac = None;
    other.regions[0].endurance = None;
    assert_eq!(other.digest(), sample().digest());
    other.platform.arena_total += 1;
    assert_ne!(other.digest(), sample().digest());
}

#[test]
fn json() {
    let capability = sample();
    let json = capability.to_json().unwrap();
    assert_eq!(Capability::from_json(&json).unwrap(), capability);
    assert!(Capability::from_json(&json.replacen("arena_total", "arena", 1)).is_err());
}

#[test]
fn what_is_wrong_is_named() {
    let records = sample().records();
    let without = |gone: Path| {
        let rest: Vec<_> = records
            .iter()
            .filter(|(path, _)| !path.starts_with(&gone))
            .cloned()
            .collect();
        Capability::from_values(&rest)
    };
    for gone in [
        Path::resource(27300, 0, 5),
        Path::resource(27300, 0, 4),
        Path::resource(27301, 0, 4),
        Path::resource(27302, 0, 7),
        Path::object(27301),
        Path::object(27302),
    ] {
        assert_eq!(without(gone), Err(CapabilityError::Missing(gone)));
    }
    assert!(
        without(Path::resource(27302, 0, 8)).unwrap().regions[0]
            .roles
            .is_empty()
    );
    assert!(
        without(Path::resource(27301, 0, 10)).unwrap().units[0]
            .operators
            .is_none()
    );

    let with = |path: Path, value: Value<'_>| {
        let mut changed = records.clone();
        changed.retain(|(other, _)| *other != path);
        changed.push((path, value.into()));
        Capability::from_values(&changed)
    };
    let arena = Path::resource(27300, 0, 5);
    assert!(matches!(
        with(arena, Value::String("1")),
        Err(CapabilityError::Invalid(path, _)) if path == arena
    ));
    assert_eq!(
        with(arena, Value::Integer(7)).unwrap().platform.arena_total,
        7
    );
    let slots = Path::resource(27300, 0, 9);
    assert!(matches!(
        with(slots, Value::UnsignedInteger(0)),
        Err(CapabilityError::Invalid(path, _)) if path == slots
    ));
    let nested = Path::resource_instance(27300, 0, 5, 0);
    assert_eq!(
        with(nested, Value::UnsignedInteger(0)),
        Err(CapabilityError::Instances(nested))
    );
    let kernels = Path::resource(27301, 0, 10);
    assert!(matches!(
        with(kernels, Value::Opaque(&[0x9f])),
        Err(CapabilityError::Kernels(path, _)) if path == kernels
    ));
    let mut twice = records.clone();
    twice.push((arena, OwnedValue::UnsignedInteger(1)));
    assert_eq!(
        Capability::from_values(&twice),
        Err(CapabilityError::Duplicate(arena))
    );
}
