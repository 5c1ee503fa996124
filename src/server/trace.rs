//! Datagrams as text, for who looks for a fault: `RUST_LOG=tinsmith::coap=trace`.

use std::fmt::Write;

use coap_lite::block_handler::BlockValue;
use coap_lite::{CoapOption, MessageClass, MessageType, Packet};

/// One line: type, code, message id, token, path, query, blocks, length of the payload.
pub(crate) fn describe(datagram: &[u8]) -> String {
    let Ok(packet) = Packet::from_bytes(datagram) else {
        return format!("{} bytes that are not CoAP", datagram.len());
    };
    let kind = match packet.header.get_type() {
        MessageType::Confirmable => "CON",
        MessageType::NonConfirmable => "NON",
        MessageType::Acknowledgement => "ACK",
        MessageType::Reset => "RST",
    };
    let code = match packet.header.code {
        MessageClass::Request(method) => format!("{method:?}").to_uppercase(),
        class => class.to_string(),
    };
    let mut line = format!("{kind} {code} mid={}", packet.header.message_id);
    let token = packet.get_token();
    if !token.is_empty() {
        line.push_str(" token=");
        for byte in token {
            let _ = write!(line, "{byte:02x}");
        }
    }
    for (option, lead, between) in [
        (CoapOption::UriPath, " /", "/"),
        (CoapOption::UriQuery, " ?", "&"),
        (CoapOption::LocationPath, " -> /", "/"),
    ] {
        if let Some(values) = packet.get_option(option) {
            let values: Vec<_> = values
                .iter()
                .map(|v| String::from_utf8_lossy(v).escape_debug().to_string())
                .collect();
            line.push_str(lead);
            line.push_str(&values.join(between));
        }
    }
    for (option, name) in [
        (CoapOption::Block1, "block1"),
        (CoapOption::Block2, "block2"),
    ] {
        let value = packet.get_first_option(option);
        if let Some(block) = value.and_then(|v| BlockValue::try_from(v.clone()).ok()) {
            let more = if block.more { "+" } else { "" };
            let _ = write!(line, " {name}={}{more}/{}", block.num, block.size());
        }
    }
    if let Some(observe) = packet.get_observe_value().and_then(Result::ok) {
        let _ = write!(line, " observe={observe}");
    }
    if !packet.payload.is_empty() {
        let _ = write!(line, " {} bytes", packet.payload.len());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_an_answer_and_garbage() {
        let mut packet = Packet::new();
        packet.header.code = MessageClass::Request(coap_lite::RequestType::Post);
        packet.header.message_id = 7;
        packet.set_token(vec![0xab]);
        packet.add_option(CoapOption::UriPath, b"rd".to_vec());
        packet.add_option(CoapOption::UriQuery, b"ep=x".to_vec());
        packet.payload = b"</3/0>".to_vec();
        let line = describe(&packet.to_bytes().unwrap());
        assert_eq!(line, "CON POST mid=7 token=ab /rd ?ep=x 6 bytes");
        assert_eq!(describe(&[0x60, 0, 0, 9]), "ACK 0.00 mid=9");
        assert_eq!(describe(b"x"), "1 bytes that are not CoAP");
    }
}
