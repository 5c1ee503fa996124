//! The build script refuses DDF files that are not what they should be, and says where.

#[allow(dead_code)]
#[path = "../build.rs"]
mod build;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

const GOOD: &str = include_str!("../ddf/27302.xml");

fn check(name: &str, text: &str) -> Result<(), String> {
    // Tests run at the same time; each file has a folder of its own.
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed).to_string();
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join("ddf")
        .join(count);
    std::fs::create_dir_all(&folder).expect("a folder for the test");
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a file for the test");
    build::read_file(&path).map(drop)
}

#[test]
fn what_is_shipped_passes() {
    assert_eq!(check("27302.xml", GOOD), Ok(()));
}

#[test]
fn each_fault_is_named() {
    let cases = [
        (
            "<ObjectID>27302<",
            "<ObjectID>27303<",
            "urn:oma:lwm2m:x:27303",
        ),
        ("lwm2m:x:27302", "lwm2m:oma:27302", "ObjectURN"),
        ("<ObjectVersion>1.0", "<ObjectVersion>1", "no version"),
        (
            "Item ID=\"1\"",
            "Item ID=\"0\"",
            "Item 0: the id comes twice",
        ),
        (
            "Item ID=\"1\"",
            "Item ID=\"65535\"",
            "Item 65535: 65535 is reserved",
        ),
        ("Item ID=\"1\"", "Item ID=\"x\"", "Item x"),
        ("<Type>Integer<", "<Type>Int<", "Item 1: unknown Type"),
        ("<Type>Integer<", "<Type><", "Item 1: executables"),
        (
            "<Operations>R<",
            "<Operations>RE<",
            "Item 0: unknown Operations",
        ),
        (
            "<RangeEnumeration>0..6<",
            "<RangeEnumeration>6..0<",
            "Item 1: RangeEnumeration",
        ),
        (
            "<RangeEnumeration>0..6<",
            "<RangeEnumeration>few<",
            "Item 1: RangeEnumeration",
        ),
        (
            "<MultipleInstances>Multiple<",
            "<MultipleInstances>Many<",
            "MultipleInstances",
        ),
        (
            "<Mandatory>Mandatory<",
            "<Mandatory>Yes<",
            "Item 0: Mandatory",
        ),
        ("<Name>Kind<", "<Name>Name<", "same constant NAME"),
        ("<Name>Kind<", "<Name><", "Item 1: empty Name"),
        (
            "<Units></Units>",
            "<Unit></Unit>",
            "Item 0: unknown element Unit",
        ),
        ("<Units></Units>", "", "Item 0: no element Units"),
        (
            "<Units></Units>",
            "<Units></Units><Units></Units>",
            "Item 0: element Units",
        ),
        ("MODefinition", "Thing", "ObjectType"),
        ("</LWM2M>", "", ""),
    ];
    for (good, bad, message) in cases {
        let text = GOOD.replacen(good, bad, 1);
        assert_ne!(text, GOOD, "{good}");
        let error = check("27302.xml", &text).expect_err(bad);
        assert!(error.contains(message), "{bad}: {error}");
    }
    let error = check("27399.xml", GOOD).unwrap_err();
    assert!(
        error.contains("another name than its object id 27302"),
        "{error}"
    );
}
