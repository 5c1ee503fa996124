//! What encoders read from.

use crate::{Path, Value};

#[cfg(feature = "alloc")]
use crate::OwnedValue;

/// Values that can be visited again and again, always the same.
///
/// Encoders run a visit more than once (TLV counts lengths before it writes), and a block of a
/// long answer runs it anew. Every path is a resource or, for a resource with several instances,
/// a resource instance; paths come in the order of [`Path`], each once.
pub trait Records {
    /// Calls `f` for each value.
    fn visit(&self, f: &mut dyn FnMut(&Path, Value<'_>));
}

impl<R: Records + ?Sized> Records for &R {
    fn visit(&self, f: &mut dyn FnMut(&Path, Value<'_>)) {
        (**self).visit(f);
    }
}

impl Records for [(Path, Value<'_>)] {
    fn visit(&self, f: &mut dyn FnMut(&Path, Value<'_>)) {
        for (path, value) in self {
            f(path, *value);
        }
    }
}

impl<const N: usize> Records for [(Path, Value<'_>); N] {
    fn visit(&self, f: &mut dyn FnMut(&Path, Value<'_>)) {
        self[..].visit(f);
    }
}

#[cfg(feature = "alloc")]
impl Records for [(Path, OwnedValue)] {
    fn visit(&self, f: &mut dyn FnMut(&Path, Value<'_>)) {
        for (path, value) in self {
            f(path, value.as_value());
        }
    }
}

#[cfg(feature = "alloc")]
impl Records for alloc::vec::Vec<(Path, OwnedValue)> {
    fn visit(&self, f: &mut dyn FnMut(&Path, Value<'_>)) {
        self[..].visit(f);
    }
}

/// Records made by a function.
#[derive(Clone, Copy, Debug)]
pub struct FromFn<F>(pub F);

impl<F: Fn(&mut dyn FnMut(&Path, Value<'_>))> Records for FromFn<F> {
    fn visit(&self, f: &mut dyn FnMut(&Path, Value<'_>)) {
        (self.0)(f);
    }
}
