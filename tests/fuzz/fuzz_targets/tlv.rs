#![no_main]

use libfuzzer_sys::fuzz_target;
use lwm2m_objects::ContentFormat;

fuzz_target!(|data: &[u8]| tinsmith_fuzz::format(ContentFormat::TLV, data));
