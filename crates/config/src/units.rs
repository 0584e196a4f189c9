//! Durations (GEP-2257), quantities of bytes, bytes in base64, networks.

use std::net::IpAddr;
use std::time::Duration;

/// Reads `1h30m`, `250ms` and the like: one to four groups of one to five digits and a unit.
/// The error says what would be right.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (mut rest, mut sum, mut groups) = (text, Duration::ZERO, 0);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let unit = rest
            .bytes()
            .skip(digits)
            .take_while(u8::is_ascii_alphabetic)
            .count();
        let millis = match &rest[digits..digits + unit] {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1000,
            "ms" => 1,
            _ => return Err(duration_advice(text)),
        };
        groups += 1;
        if groups > 4 || !(1..=5).contains(&digits) {
            return Err(duration_advice(text));
        }
        let count: u64 = rest[..digits].parse().map_err(|_| duration_advice(text))?;
        sum += Duration::from_millis(count * millis);
        rest = &rest[digits + unit..];
    }
    if groups == 0 {
        Err(duration_advice(text))
    } else {
        Ok(sum)
    }
}

/// What was probably meant by something that is not a duration.
fn duration_advice(text: &str) -> String {
    let text = text.trim();
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim();
    let unit = text[number.len()..].trim();
    let millis = |scale: f64| number.parse::<f64>().ok().map(|value| value * scale);
    let meant = match unit {
        "" | "s" | "sec" | "secs" | "second" | "seconds" => millis(1000.0),
        "ms" | "msec" | "millis" => millis(1.0),
        "m" | "min" | "mins" | "minute" | "minutes" => millis(60_000.0),
        "h" | "hour" | "hours" => millis(3_600_000.0),
        "d" | "day" | "days" => millis(86_400_000.0),
        _ => None,
    };
    match meant.filter(|millis| millis.is_finite() && *millis >= 0.0 && *millis < 99_999.0 * 3_600_000.0) {
        Some(millis) => format!(
            "write `{}`",
            write_duration(Duration::from_millis(millis.round() as u64))
        ),
        None => "write it as `30s`, `250ms` or `1h30m`: digits and `h`, `m`, `s` or `ms`, up to four times"
            .to_owned(),
    }
}

/// A span as GEP-2257 writes it; anything below a millisecond is dropped.
pub(crate) fn write_duration(span: Duration) -> String {
    let millis = span.as_millis();
    let parts = [
        (millis / 3_600_000, "h"),
        (millis / 60_000 % 60, "m"),
        (millis / 1000 % 60, "s"),
        (millis % 1000, "ms"),
    ];
    let text: String = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Reads `65536`, `64Ki`, `1M`: whole numbers and the suffixes that Kubernetes has.
pub(crate) fn quantity(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let scale: u64 = match &text[digits..] {
        "" => 1,
        "k" => 1000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return None,
    };
    text[..digits].parse::<u64>().ok()?.checked_mul(scale)
}

/// Decodes base64 (RFC 4648, 4), padding required.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    let value = |letter: u8| {
        Some(match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        })
    };
    let letters = text.trim_end_matches('=');
    let padding = text.len() - letters.len();
    if !text.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let (mut bytes, mut held, mut bits) = (Vec::with_capacity(text.len() / 4 * 3), 0_u32, 0);
    for letter in letters.bytes() {
        held = held << 6 | u32::from(value(letter)?);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    // What is left over says nothing, and would let two texts mean the same.
    (held == 0).then_some(bytes)
}

/// Reads a network such as `10.0.0.0/8`: address and prefix length.
pub(crate) fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let plain = length.bytes().all(|c| c.is_ascii_digit());
    let length = length.parse().ok().filter(|length| plain && *length <= most)?;
    Some((address, length))
}

/// Bytes as a person writes them.
pub(crate) fn bytes(bytes: u64) -> String {
    match bytes {
        0 => "0".to_owned(),
        b if b.is_multiple_of(1 << 20) => format!("{}Mi", b >> 20),
        b if b.is_multiple_of(1 << 10) => format!("{}Ki", b >> 10),
        b => b.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_those_of_gep_2257() {
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        assert_eq!(duration("1h30m10s500ms"), Ok(Duration::from_millis(5_410_500)));
        assert_eq!(duration("99999ms"), Ok(Duration::from_millis(99_999)));
        for wrong in [
            "",
            "5",
            "s",
            "1d",
            "2.5s",
            "100000s",
            "1s1s1s1s1s",
            "-1s",
            " 1s",
            "1 s",
            "1S",
            "1sm",
            "１s",
        ] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_wrong_duration_is_answered_with_the_right_one() {
        assert_eq!(duration("2.5s"), Err("write `2s500ms`".to_owned()));
        assert_eq!(duration("30"), Err("write `30s`".to_owned()));
        assert_eq!(duration("1d"), Err("write `24h`".to_owned()));
        assert_eq!(duration("5 minutes"), Err("write `5m`".to_owned()));
    }

    #[test]
    fn quantities_have_the_suffixes_of_kubernetes() {
        assert_eq!(quantity("64Ki"), Some(65_536));
        assert_eq!(quantity("1M"), Some(1_000_000));
        assert_eq!(quantity("7"), Some(7));
        assert_eq!(quantity("64KB"), None);
        assert_eq!(quantity(""), None);
        assert_eq!(quantity("99999999999999999999Gi"), None);
    }

    #[test]
    fn base64_is_read_in_its_one_form() {
        assert_eq!(base64(""), Some(Vec::new()));
        assert_eq!(base64("cG9uZw=="), Some(b"pong".to_vec()));
        assert_eq!(base64("AP/+"), Some(vec![0, 255, 254]));
        for wrong in ["cG9uZw", "cG9uZx==", "cG9=", "====", "c===", "cG 9", "cG-_"] {
            assert_eq!(base64(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn networks_have_a_prefix_that_fits_their_addresses() {
        assert_eq!(network("10.0.0.0/8"), Some(([10, 0, 0, 0].into(), 8)));
        assert_eq!(
            network("2001:db8::/32"),
            Some(("2001:db8::".parse().expect("an address"), 32))
        );
        for wrong in [
            "10.0.0.0",
            "10.0.0.0/33",
            "::/129",
            "10.0.0/8",
            "10.0.0.0/+8",
            "a/8",
        ] {
            assert_eq!(network(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(millis in 0_u64..359_996_400_000) {
            let span = Duration::from_millis(millis);
            prop_assert_eq!(duration(&write_duration(span)), Ok(span));
        }

        #[test]
        fn any_text_has_an_answer(text in "\\PC{0,20}") {
            let _ = (duration(&text), quantity(&text), base64(&text), network(&text));
        }
    }
}
