//! `HOST:PORT` as people type it.

use laminarmq_broker::HostPort;

/// The port of the Kafka listener, and of a broker that is named without one.
pub(crate) const KAFKA_PORT: u16 = 9092;
/// Longest host name in the DNS, in bytes.
const HOST_BYTES_MAX: usize = 253;

/// Parses `HOST[:PORT]`, where a missing port is 9092.
///
/// # Errors
///
/// A sentence about what is wrong.
pub(crate) fn parse_or_default_port(text: &str) -> Result<HostPort, String> {
    let (host, port) = split(text)?;
    let port = port.map_or(Ok(KAFKA_PORT), parse_port)?;
    checked(host, port)
}

/// Parses `HOST:PORT`.
///
/// # Errors
///
/// A sentence about what is wrong.
pub(crate) fn parse(text: &str) -> Result<HostPort, String> {
    let (host, port) = split(text)?;
    let port = port.ok_or("the port is missing (want HOST:PORT)")?;
    checked(host, parse_port(port)?)
}

fn checked(host: &str, port: u16) -> Result<HostPort, String> {
    if host.is_empty() {
        return Err(String::from("the host is missing (want HOST:PORT)"));
    }
    if host.len() > HOST_BYTES_MAX {
        return Err(format!("the host is longer than {HOST_BYTES_MAX} bytes"));
    }
    if host
        .chars()
        .any(|c| c.is_whitespace() || c.is_control() || c == '/')
    {
        return Err(String::from(
            "not a host and a port (want HOST:PORT, without a scheme or a path)",
        ));
    }
    Ok(HostPort {
        host: host.to_owned(),
        port,
    })
}

fn split(text: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest
            .split_once(']')
            .ok_or("`[` without `]` around an IPv6 address")?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(String::from("text between `]` and the port")),
        };
    }
    match text.matches(':').count() {
        0 => Ok((text, None)),
        1 => Ok(text
            .split_once(':')
            .map_or((text, None), |(host, port)| (host, Some(port)))),
        _ => Err(String::from("an IPv6 address needs brackets: [::1]:9092")),
    }
}

fn parse_port(text: &str) -> Result<u16, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not a port (want 0 to 65535)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_addresses_and_ports() {
        for (text, host, port) in [
            ("127.0.0.1:9092", "127.0.0.1", 9092),
            ("broker-1.example:19092", "broker-1.example", 19092),
            ("[::1]:0", "::1", 0),
        ] {
            let parsed = parse(text).expect(text);
            assert_eq!((parsed.host.as_str(), parsed.port), (host, port));
            assert_eq!(parsed.to_string(), text);
        }
    }

    #[test]
    fn a_broker_may_leave_out_its_port() {
        let parsed = parse_or_default_port("localhost").expect("a host");
        assert_eq!(parsed.to_string(), "localhost:9092");
        let parsed = parse_or_default_port("[::1]").expect("a host");
        assert_eq!(parsed.to_string(), "[::1]:9092");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "localhost",
            ":9092",
            "localhost:",
            "localhost:70000",
            "::1:9092",
            "[::1:9092",
            "[::1]9092",
            "http://localhost:9092",
            "a b:1",
        ] {
            assert!(parse(text).is_err(), "{text:?} was accepted");
        }
    }
}
