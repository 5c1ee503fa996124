//! Types without a value that is all zeros, so that an absent entry is one: tables at rest need no
//! initial value in the image of a firmware.

/// In an entry that is there. Of all fields it has the most values that are not valid, so that the
/// compiler takes zero of it for "none".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Live {
    Live = 1,
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flag {
    No = 1,
    Yes = 2,
}

impl Flag {
    pub(crate) fn is_yes(self) -> bool {
        self == Self::Yes
    }
}

impl From<bool> for Flag {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}
