//! Enumerations that objects carry as integers.

use core::fmt;

/// An integer that an enumeration does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownNumber {
    /// What it was to be.
    pub what: &'static str,
    /// The integer.
    pub number: i64,
}

impl fmt::Display for UnknownNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is no {}", self.number, self.what)
    }
}

impl core::error::Error for UnknownNumber {}

/// An enumeration with the integer of each variant and its name as shown to people.
macro_rules! numbered {
    (
        $(#[$meta:meta])*
        $name:ident, $what:literal {
            $($(#[$doc:meta])* $variant:ident = $number:literal, $text:literal;)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "std", serde(rename_all = "snake_case"))]
        #[repr(u8)]
        pub enum $name {
            $($(#[$doc])* $variant = $number,)*
        }

        impl $name {
            /// All of them by ascending number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The integer that objects carry.
            #[must_use]
            pub const fn number(self) -> i64 {
                self as i64
            }

            /// From the integer that objects carry; none if it is unknown here.
            #[must_use]
            pub const fn from_number(number: i64) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// In words.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// From the words of [`name`](Self::name).
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.name() == name)
            }
        }

        impl TryFrom<i64> for $name {
            type Error = $crate::UnknownNumber;

            fn try_from(number: i64) -> Result<Self, Self::Error> {
                let what = $what;
                Self::from_number(number).ok_or($crate::UnknownNumber { what, number })
            }
        }

        impl From<$name> for $crate::Value<'_> {
            fn from(value: $name) -> Self {
                Self::Integer(value.number())
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

pub(crate) use numbered;

#[cfg(test)]
mod tests {
    use crate::{UnknownNumber, Value, compute, firmware, software};
    use std::string::ToString;

    macro_rules! round_trip {
        ($($name:ty: $numbers:expr;)*) => {$({
            let known: std::vec::Vec<i64> =
                <$name>::ALL.iter().map(|one| one.number()).collect();
            assert_eq!(known, $numbers.collect::<std::vec::Vec<i64>>(), stringify!($name));
            for one in <$name>::ALL {
                assert_eq!(<$name>::from_number(one.number()), Some(*one));
                assert_eq!(<$name>::from_name(one.name()), Some(*one));
                let json = serde_json::to_string(one).unwrap();
                assert_eq!(serde_json::from_str::<$name>(&json).unwrap(), *one);
            }
            assert_eq!(<$name>::from_number(-1), None);
            assert_eq!(<$name>::from_number(known.last().unwrap() + 1), None);
        })*};
    }

    #[test]
    fn numbers_and_names_round_trip() {
        round_trip! {
            firmware::State: 0..=3;
            firmware::UpdateResult: 0..=11;
            firmware::Protocol: 0..=5;
            firmware::Delivery: 0..=2;
            software::State: 0..=4;
            software::UpdateResult: (0..=3).chain(50..=54).chain(56..=59);
            compute::ModuleFormat: 0..=4;
            compute::BootProtection: 0..=3;
            compute::UnitType: 0..=5;
            compute::DType: 0..=7;
            compute::RegionKind: 0..=6;
            compute::RegionRole: 0..=7;
            compute::SlotState: 0..=6;
            compute::ModelResult: 0..=13;
            compute::Mode: 0..=2;
            compute::Task: 1..=3;
        }
    }

    /// The definitions say which numbers there are.
    #[test]
    fn every_number_is_in_the_range_of_its_resource() {
        use crate::ids::{self, firmware_update, inference, memory_region, ml_model};
        let check = |object, resource, value: Value<'_>| {
            let model = crate::object(object).unwrap().resource(resource).unwrap();
            assert_eq!(model.check(&value), Ok(()), "/{object}/x/{resource}");
        };
        for one in firmware::State::ALL {
            check(ids::FIRMWARE_UPDATE, firmware_update::STATE, (*one).into());
        }
        for one in firmware::UpdateResult::ALL {
            check(
                ids::FIRMWARE_UPDATE,
                firmware_update::UPDATE_RESULT,
                (*one).into(),
            );
        }
        for one in compute::SlotState::ALL {
            check(ids::ML_MODEL, ml_model::STATE, (*one).into());
        }
        for one in compute::ModelResult::ALL {
            check(ids::ML_MODEL, ml_model::RESULT, (*one).into());
        }
        for one in compute::Mode::ALL {
            check(ids::INFERENCE, inference::MODE, (*one).into());
        }
        for one in compute::RegionKind::ALL {
            check(ids::MEMORY_REGION, memory_region::KIND, (*one).into());
        }
    }

    #[test]
    fn an_unknown_number_is_named() {
        let error = firmware::State::try_from(4);
        assert_eq!(
            error,
            Err(UnknownNumber {
                what: "state of Firmware Update",
                number: 4
            })
        );
        assert_eq!(
            error.unwrap_err().to_string(),
            "4 is no state of Firmware Update"
        );
    }
}
