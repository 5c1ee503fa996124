//! Bytes, one value (content format 42).

use super::guard::{self, emit};
use super::{FormatError, Visitor};
use crate::model::Models;
use crate::{Path, Records, Sink, Value, ValueType};

pub(super) fn decode(
    base: &Path,
    payload: &[u8],
    models: &dyn Models,
    _: &mut [u8],
    visit: &mut Visitor<'_>,
) -> Result<(), FormatError> {
    emit(models, *base, None, Value::Opaque(payload), visit)
}

pub(super) fn encode(
    base: &Path,
    records: &dyn Records,
    sink: &mut dyn Sink,
) -> Result<(), FormatError> {
    guard::single(base, records, &mut |path, value| match value {
        Value::Opaque(bytes) => {
            sink.write(bytes);
            Ok(())
        }
        _ => Err(FormatError::WrongType {
            path: *path,
            expected: ValueType::Opaque,
        }),
    })
}

#[cfg(test)]
mod tests {
    use crate::format::{ContentFormat, FormatError, decode_all, encode_vec};
    use crate::model::{Builtin, NoModels};
    use crate::{OwnedValue, Path, Value, ValueType};

    #[test]
    fn only_opaque_resources() {
        let path = Path::resource(5, 0, 0);
        let values = decode_all(ContentFormat::OPAQUE, &path, b"\x00\xff", &Builtin).unwrap();
        assert_eq!(values, [(path, OwnedValue::Opaque(vec![0, 255]))]);
        assert_eq!(
            encode_vec(ContentFormat::OPAQUE, &path, &values).unwrap(),
            b"\x00\xff"
        );
        let name = Path::resource(3, 0, 0);
        let wrong = FormatError::WrongType {
            path: name,
            expected: ValueType::String,
        };
        assert_eq!(
            decode_all(ContentFormat::OPAQUE, &name, b"x", &Builtin),
            Err(wrong)
        );
        assert!(decode_all(ContentFormat::OPAQUE, &name, b"x", &NoModels).is_ok());
        let instance = Path::instance(5, 0);
        let refused = FormatError::NotAResource(instance);
        assert_eq!(
            decode_all(ContentFormat::OPAQUE, &instance, b"x", &Builtin),
            Err(refused)
        );
        let text = [(name, Value::String("x"))];
        let wrong = FormatError::WrongType {
            path: name,
            expected: ValueType::Opaque,
        };
        assert_eq!(encode_vec(ContentFormat::OPAQUE, &name, &text), Err(wrong));
        let none: [(Path, Value<'_>); 0] = [];
        assert_eq!(
            encode_vec(ContentFormat::OPAQUE, &name, &none),
            Err(FormatError::NotSingle)
        );
    }
}
