//! What known boards are made of, as data: one file each, which holds objects 27300, 27301 and 27302.
//!
//! Where a device reports each kernel of its library (27301/x/10), a file names the library's
//! version, `kernel_library`, and the list follows.

use std::borrow::Cow;
use std::fmt;
use std::io::ErrorKind;
use std::sync::LazyLock;

use lwm2m_objects::capability::Capability;
use serde::de::Error as _;
use serde_json::Value;

macro_rules! targets {
    ($($name:literal $file:literal;)*) => {
        const FILES: &[(&str, &str, &str)] = &[
            $(($name, $file, include_str!(concat!($file, ".json"))),)*
        ];
    };
}

targets! {
    "nrf52833" "nrf52833-dk";
    "nrf52840" "nrf52840-dk";
    "qemu-mps2" "qemu-mps2-an386";
    "stm32f411" "stm32f411re";
    "stm32f446" "stm32f446re";
    "stm32f767" "stm32f767zi";
    "stm32l053" "stm32l053r8";
    "stm32l475" "stm32l475vg";
}

/// The kernels, as (id, version), of each version of the library of portable kernels, from 1 on.
const LIBRARIES: &[&[(u16, u16)]] = &[
    &[
        (1, 1),
        (2, 1),
        (3, 1),
        (4, 1),
        (5, 1),
        (6, 1),
        (7, 1),
        (8, 1),
        (9, 1),
        (10, 1),
        (11, 1),
        (12, 1),
        (13, 1),
    ],
    // Tensors of more than 65,535 elements along an axis.
    &[
        (1, 2),
        (2, 2),
        (3, 2),
        (4, 2),
        (5, 2),
        (6, 2),
        (7, 2),
        (8, 2),
        (9, 2),
        (10, 2),
        (11, 2),
        (12, 2),
        (13, 2),
    ],
];

/// A target file, whose units list their kernels or name a library.
///
/// # Errors
/// It is no such file, or there is no such library.
pub fn parse(json: &str) -> Result<Capability, serde_json::Error> {
    serde_json::from_value(expand(json)?)
}

/// The file with `operators` in the place of `kernel_library`.
fn expand(json: &str) -> Result<Value, serde_json::Error> {
    let mut file: Value = serde_json::from_str(json)?;
    let units = file.get_mut("units").and_then(Value::as_array_mut);
    let units = units.into_iter().flatten().filter_map(Value::as_object_mut);
    for unit in units {
        let Some(version) = unit.remove("kernel_library") else {
            continue;
        };
        let index = version.as_u64().and_then(|version| version.checked_sub(1));
        let kernels = index
            .and_then(|index| LIBRARIES.get(usize::try_from(index).ok()?))
            .ok_or_else(|| {
                let latest = LIBRARIES.len();
                let problem = format!("kernel_library {version} is not known, only 1 to {latest}");
                serde_json::Error::custom(problem)
            })?;
        unit.insert("operators".into(), serde_json::json!(kernels));
    }
    Ok(file)
}

/// The expanded text of each file, in the order of the list; empty for a damaged one.
static EXPANDED: LazyLock<Vec<String>> = LazyLock::new(|| {
    let files = FILES.iter();
    files
        .map(|(.., json)| expand(json).map_or_else(|_| String::new(), |file| file.to_string()))
        .collect()
});

/// Short names of all targets.
pub fn list() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|&(name, ..)| name)
}

/// Platform names of all targets: what 27300/0/0 says.
pub fn platforms() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|&(_, full, _)| full)
}

/// The capability of the target that is called `name`, or the only one whose platform name begins
/// so; case does not matter. None if there is none, or if the file is damaged, which a test
/// excludes.
pub fn find(name: &str) -> Option<Capability> {
    serde_json::from_str(json(name)?).ok()
}

/// Why there is no such target: the user's mistake.
#[derive(Debug)]
#[non_exhaustive]
pub enum Unknown {
    /// No target has this name, or more than one begins with it, and there is no such file.
    Name(String),
    /// The file can't be read.
    File(String, std::io::Error),
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => {
                write!(f, "no target '{name}' and no such file; there are:")?;
                platforms().try_for_each(|name| write!(f, " {name}"))
            }
            Self::File(name, e) => write!(f, "cannot read {name}: {e}"),
        }
    }
}

impl std::error::Error for Unknown {}

/// The file of a target as [`parse`] takes it: that of a name that [`find`] takes, else that at a
/// path.
///
/// # Errors
/// There is no such target and no such file.
pub fn text(name: &str) -> Result<Cow<'static, str>, Unknown> {
    if let Some(text) = json(name) {
        return Ok(Cow::Borrowed(text));
    }
    match std::fs::read_to_string(name) {
        Ok(text) => Ok(Cow::Owned(text)),
        Err(e) if e.kind() == ErrorKind::NotFound && !name.ends_with(".json") => {
            Err(Unknown::Name(name.to_owned()))
        }
        Err(e) => Err(Unknown::File(name.to_owned(), e)),
    }
}

/// The file of a target with the kernels of its library, by the names that [`find`] takes.
pub fn json(name: &str) -> Option<&'static str> {
    let wanted = name.to_ascii_lowercase();
    if wanted.is_empty() {
        return None;
    }
    let text = |index: usize| EXPANDED.get(index).map(String::as_str);
    let exact = |&(short, full, _): &(&str, &str, _)| wanted == short || wanted == full;
    if let Some(index) = FILES.iter().position(exact) {
        return text(index);
    }
    let mut all = (0..FILES.len()).filter(|&index| FILES[index].1.starts_with(&wanted));
    let index = all.next()?;
    all.next().is_none().then(|| text(index))?
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use tinsmith_module::ABI_VERSION;
    use tinsmith_module::kernels::RESIDENT;

    use super::*;

    #[test]
    fn every_file_is_listed() {
        let entries = std::fs::read_dir(env!("CARGO_MANIFEST_DIR")).unwrap();
        let json = |path: &std::path::Path| path.extension().is_some_and(|e| e == "json");
        let files = entries.filter(|entry| json(&entry.as_ref().unwrap().path()));
        assert_eq!(files.count(), FILES.len());
    }

    #[test]
    fn every_target_is_plausible() {
        let mut names = HashSet::new();
        for &(short, full, json) in FILES {
            let c = parse(json).unwrap_or_else(|e| panic!("{short}: {e}"));
            let p = &c.platform;
            assert!(names.insert(p.platform_name.clone()), "{short}");
            assert!(full.starts_with(short), "{short}");
            assert_eq!(p.platform_name, full);
            assert_eq!(p.runtime_abi_version, u64::from(ABI_VERSION), "{short}");
            assert!(p.module_formats.contains(&2), "{short}");
            assert!((1..=255).contains(&p.model_slots));
            assert_eq!(
                p.model_storage_total,
                p.model_slots * p.max_module_size,
                "{short}"
            );
            assert!(p.model_storage_free <= p.model_storage_total);
            let unit = c.units.first().unwrap();
            assert_eq!((unit.instance, unit.unit_type), (0, 0), "{short}");
            assert!(
                (16_000_000..=1_000_000_000).contains(&unit.clock_max),
                "{short}"
            );
            assert!(unit.data_types.contains(&0));
            assert_eq!(unit.operators.as_deref(), Some(RESIDENT), "{short}");
            let (mut flash, mut ram) = (0, 0);
            for region in &c.regions {
                assert!(
                    (0..=6).contains(&region.kind) && region.access < 64,
                    "{short}"
                );
                assert!(region.size > 0);
                if matches!(region.kind, 0 | 3) {
                    flash += region.size;
                    let (erase, write) = (region.erase_unit.unwrap(), region.write_unit.unwrap());
                    assert!(
                        write <= erase && region.size % erase == 0,
                        "{short} {}",
                        region.name
                    );
                } else {
                    ram += region.size;
                    assert!(region.erase_unit.is_none() && region.write_unit.is_none());
                }
                for other in &c.regions {
                    assert!(
                        region.instance == other.instance
                            || region.start + region.size <= other.start
                            || other.start + other.size <= region.start,
                        "{short}: {} meets {}",
                        region.name,
                        other.name
                    );
                }
            }
            let holds = |role: i64| {
                let with = c.regions.iter().filter(|r| r.roles.contains(&role));
                with.map(|r| r.size).max().unwrap_or(0)
            };
            assert!(
                p.model_storage_total <= holds(3) && p.model_storage_total < flash,
                "{short}"
            );
            assert!(p.arena_total <= holds(4) && p.arena_total < ram, "{short}");
        }
    }

    #[test]
    fn a_file_may_name_kernels_or_a_library() {
        let json = json("nrf52840").unwrap();
        assert!(json.contains("operators") && !json.contains("kernel_library"));
        assert_eq!(parse(json).ok(), find("nrf52840"));
        let file = FILES[0].2;
        assert!(file.contains("\"kernel_library\": 2"));
        let unknown = file.replace("\"kernel_library\": 2", "\"kernel_library\": 99");
        assert!(parse(&unknown).unwrap_err().to_string().contains("99"));
    }

    #[test]
    fn found_by_both_names_and_by_a_beginning_that_only_one_has() {
        for name in list() {
            let c = find(name).unwrap();
            assert_eq!(find(&c.platform.platform_name), Some(c));
        }
        assert_eq!(find("nrf52840-d"), find("NRF52840"));
        for none in ["z80", "", "nrf52", "nrf52840-dk2"] {
            assert_eq!(find(none), None, "{none}");
        }
    }
}
