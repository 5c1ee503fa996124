//! A Write is done as a whole or not at all.

use lwm2m_objects::format::{ContentFormat, encode_vec};
use lwm2m_objects::model::{ObjectModel, Operations, ResourceModel, Version};
use lwm2m_objects::{OwnedValue, Path, Value, ValueType};
use tinsmith_coap::{Code, OptionNumber};

use super::world::{SERVER, World};
use crate::testing::Board;
use crate::{Context, Done, Object, Target, Values, View};

type Pairs = Vec<(Path, OwnedValue)>;

fn server(values: &[(u16, OwnedValue)]) -> Pairs {
    let at = |(id, value): &(u16, OwnedValue)| (Path::resource(1, 0, *id), value.clone());
    values.iter().map(at).collect()
}

fn send(w: &mut World, code: Code, path: &str, values: &Pairs) -> Code {
    let base = Path::from_bytes(path.as_bytes()).unwrap();
    let mut values = values.clone();
    values.sort_by_key(|(path, _)| *path);
    let payload = encode_vec(ContentFormat::SENML_CBOR, &base, &values).unwrap();
    let answer = w.ask(SERVER, code, path, |b| {
        b.uint(OptionNumber::CONTENT_FORMAT, 112).unwrap();
        b.payload(&payload).unwrap();
    });
    answer.unwrap().code
}

#[test]
fn a_write_that_is_refused_changes_nothing() {
    let mut w = World::registered(Board::small());
    let number = OwnedValue::Integer;
    let before = w.read("/1/0").unwrap();
    for bad in [
        (7, OwnedValue::String("S".into())),
        (7, OwnedValue::String("UTSNUTSNU".into())),
        (5, number(-1)),
        (0, number(3)),
        (4, number(3)),
        (11, number(3)),
    ] {
        let values = server(&[(1, number(60)), (2, number(5)), bad.clone()]);
        let code = send(&mut w, Code::POST, "/1/0", &values);
        assert!(!code.is_success(), "{bad:?}: {code}");
        assert_eq!(w.read("/1/0").unwrap(), before, "{bad:?}");
    }
    w.pass(10_000).unwrap();
    assert!(w.take_datagram().is_none(), "and nobody is told");
    let values = server(&[(1, number(60)), (2, number(5))]);
    assert_eq!(send(&mut w, Code::POST, "/1/0", &values), Code::CHANGED);
    let enabled = |on| (Path::resource(27304, 0, 1), OwnedValue::Boolean(on));
    let mode = |mode| (Path::resource(27304, 0, 2), OwnedValue::Integer(mode));
    let before = w.read("/27304/0").unwrap();
    let code = send(
        &mut w,
        Code::POST,
        "/27304/0",
        &vec![enabled(false), mode(1)],
    );
    assert_eq!(code, Code::BAD_REQUEST);
    assert_eq!(w.read("/27304/0").unwrap(), before);
    let code = send(
        &mut w,
        Code::POST,
        "/27304/0",
        &vec![enabled(false), mode(0)],
    );
    assert_eq!(code, Code::CHANGED);
    assert_ne!(w.read("/27304/0").unwrap(), before);
}

#[test]
fn a_replace_has_all_mandatory_resources() {
    let mut w = World::registered(Board::small());
    let all = [
        (1, OwnedValue::Integer(60)),
        (6, OwnedValue::Boolean(true)),
        (7, OwnedValue::String("U".into())),
    ];
    let pmin = [(2, OwnedValue::Integer(5))];
    let update =
        |w: &mut World, values: &[(u16, OwnedValue)]| send(w, Code::POST, "/1/0", &server(values));
    assert_eq!(update(&mut w, &pmin), Code::CHANGED);
    for missing in 0..3 {
        let mut some = all.to_vec();
        some.remove(missing);
        let code = send(&mut w, Code::PUT, "/1/0", &server(&some));
        assert_eq!(code, Code::BAD_REQUEST, "{missing}");
        assert_eq!(w.number("/1/0/1").unwrap(), 300);
    }
    assert_eq!(
        send(&mut w, Code::PUT, "/1/0", &server(&all)),
        Code::CHANGED
    );
    assert_eq!(w.number("/1/0/1").unwrap(), 60);
    // What is not in it is as it was at first; an update leaves it alone.
    assert_eq!(w.number("/1/0/2").unwrap(), 0);
    assert_eq!(w.number("/1/0/0").unwrap(), 7);
    assert_eq!(update(&mut w, &pmin), Code::CHANGED);
    assert_eq!(update(&mut w, &all), Code::CHANGED);
    assert_eq!(w.number("/1/0/2").unwrap(), 5);
}

const RESOURCES: &[ResourceModel] = &[
    ResourceModel::new(1, Operations::RW, ValueType::Integer).that_is_mandatory(),
    ResourceModel::new(2, Operations::RW, ValueType::Integer),
];
const MODEL: ObjectModel = ObjectModel::new(30_001, Version::V1_0, true, RESOURCES);

/// Takes one instance, and no number above 9.
#[derive(Default)]
struct Small(std::cell::RefCell<Option<(u16, [i64; 2])>>);

impl Object for Small {
    fn definition(&self) -> &'static ObjectModel {
        &MODEL
    }

    fn instances(&self, _: &View<'_>, f: &mut dyn FnMut(u16)) {
        self.0.borrow().iter().for_each(|(id, _)| f(*id));
    }

    fn read(&self, _: &View<'_>, _: u16, values: &mut Values<'_>) {
        if let Some((_, [first, second])) = *self.0.borrow() {
            values.integer(1, first);
            values.integer(2, second);
        }
    }

    fn check(&self, _: &Context<'_, '_>, _: Target, value: Value<'_>) -> Result<(), Code> {
        match value.as_i64() {
            Some(..=9) => Ok(()),
            _ => Err(Code::CONFLICT),
        }
    }

    fn write(
        &self,
        _: &mut Context<'_, '_>,
        target: Target,
        value: Value<'_>,
    ) -> Result<Done, Code> {
        let mut all = self.0.borrow_mut();
        let (_, numbers) = all.as_mut().ok_or(Code::NOT_FOUND)?;
        numbers[usize::from(target.resource) - 1] = value.as_i64().unwrap();
        Ok(Done::Now)
    }

    fn create(&self, _: &mut Context<'_, '_>, instance: Option<u16>) -> Result<(u16, Done), Code> {
        let id = instance.unwrap_or(0);
        *self.0.borrow_mut() = Some((id, [0, 0]));
        Ok((id, Done::Now))
    }
}

#[test]
fn an_application_says_first_what_it_takes() {
    let small: &'static Small = Box::leak(Box::default());
    let objects: &'static [&'static dyn Object] = Box::leak(Box::new([small as &dyn Object]));
    let mut w = World::with_objects(Board::small(), objects);
    w.bootstrap(ContentFormat::TLV).unwrap();
    w.register().unwrap();
    let value = |id, n| (Path::resource(30_001, 5, id), OwnedValue::Integer(n));
    for (values, wanted) in [
        (vec![value(2, 1)], Code::BAD_REQUEST),
        (vec![value(1, 1), value(2, 10)], Code::CONFLICT),
    ] {
        assert_eq!(send(&mut w, Code::POST, "/30001", &values), wanted);
        assert_eq!(*small.0.borrow(), None, "nothing was made");
    }
    let values = vec![value(1, 1), value(2, 2)];
    assert_eq!(send(&mut w, Code::POST, "/30001", &values), Code::CREATED);
    let values = vec![value(1, 3), value(2, 10)];
    assert_eq!(send(&mut w, Code::PUT, "/30001/5", &values), Code::CONFLICT);
    assert_eq!(*small.0.borrow(), Some((5, [1, 2])));
}
