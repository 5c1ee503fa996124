//! Where things are, as the target file says.

include!(concat!(env!("OUT_DIR"), "/layout.rs"));
