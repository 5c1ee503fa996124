//! A datagram: building it again gives the same message.

use tinsmith_coap::{BuildError, Builder, Message, stateless};

pub(crate) fn run(data: &[u8]) {
    let Ok(message) = Message::parse(data) else {
        let _ = stateless::refusal(data);
        return;
    };
    let _ = (message.observe(), message.block1(), message.block2());
    let _ = (message.size1(), message.size2(), message.content_format());
    let _ = (message.accept(), message.max_age(), message.etag());
    let _ = (message.request_tag(), message.unrecognised_critical(&[]));
    let _ = message.uri_path().count() + message.uri_query().count();
    let _ = message.location_path().count();

    // Building it again gives a message that reads the same.
    let mut buffer = vec![0; data.len() + 16];
    let mut builder = Builder::new(
        &mut buffer,
        message.message_type(),
        message.code(),
        message.message_id(),
        message.token(),
    )
    .expect("there is room");
    for option in message.options() {
        // The reader takes options of a wrong length as unrecognised ones (RFC 7252 §5.4.3),
        // the builder makes none.
        match builder.option(option.number, option.value) {
            Err(BuildError::Length(_)) => return,
            result => result.map(drop).expect("there is room"),
        }
    }
    if !message.payload().is_empty() {
        builder.payload(message.payload()).expect("there is room");
    }
    let built = builder.as_bytes().to_vec();
    let again = Message::parse(&built).expect("what was built can be read");
    assert_eq!(message.token(), again.token());
    assert_eq!(message.payload(), again.payload());
    assert!(
        message
            .options()
            .map(|option| (option.number, option.value))
            .eq(again.options().map(|option| (option.number, option.value)))
    );
}
