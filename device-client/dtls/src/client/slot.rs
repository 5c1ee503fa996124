//! An option that is all zeros when it is empty, so that a client at rest needs no initial value in
//! the image of a firmware.

#[repr(u8)]
pub(super) enum Slot<T> {
    Empty,
    Full(T),
}

impl<T> Slot<T> {
    pub(super) const fn get(&self) -> Option<&T> {
        match self {
            Self::Empty => None,
            Self::Full(content) => Some(content),
        }
    }

    pub(super) const fn get_mut(&mut self) -> Option<&mut T> {
        match self {
            Self::Empty => None,
            Self::Full(content) => Some(content),
        }
    }

    pub(super) fn take(&mut self) -> Option<T> {
        match core::mem::replace(self, Self::Empty) {
            Self::Empty => None,
            Self::Full(content) => Some(content),
        }
    }
}
