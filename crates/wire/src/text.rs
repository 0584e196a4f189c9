//! Numbers and addresses as text, without the formatting machinery.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

/// Appends a number in decimal.
#[inline(always)]
pub fn push_decimal(out: &mut Vec<u8>, number: u64) {
    // Most are small: statuses, ports, parts of addresses, short lengths and times.
    if number < 10 {
        return out.push(b'0' + number as u8);
    }
    if number < 100 {
        return out.extend_from_slice(&two_digits(number));
    }
    if number < 1000 {
        let [tens, ones] = two_digits(number % 100);
        return out.extend_from_slice(&[b'0' + (number / 100) as u8, tens, ones]);
    }
    push_long(out, number);
}

fn push_long(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    while rest >= 100 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&two_digits(rest % 100));
        rest /= 100;
    }
    if rest >= 10 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&two_digits(rest));
    } else {
        at -= 1;
        digits[at] = b'0' + rest as u8;
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends an address as [`IpAddr`] is displayed.
pub fn push_ip(out: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => {
            let mut text = [0; 16];
            let mut len = 0;
            for part in ip.octets() {
                // The dot behind the number comes along; of the last one it is left out.
                let (digits, count) = octet(part);
                text[len..len + 4].copy_from_slice(&digits);
                len += count;
            }
            // A fixed number of bytes is copied without a call; what is too much is taken back.
            let end = out.len() + len - 1;
            out.extend_from_slice(&text);
            out.truncate(end);
        }
        // Writing to a Vec cannot fail.
        IpAddr::V6(ip) => drop(write!(out, "{ip}")),
    }
}

/// Appends an address and port as [`SocketAddr`] is displayed.
pub fn push_socket(out: &mut Vec<u8>, address: &SocketAddr) {
    match address {
        SocketAddr::V4(v4) => {
            push_ip(out, IpAddr::V4(*v4.ip()));
            out.push(b':');
            push_decimal(out, u64::from(v4.port()));
        }
        // Writing to a Vec cannot fail.
        SocketAddr::V6(v6) => drop(write!(out, "{v6}")),
    }
}

/// A number with a dot behind it, and how many bytes they are.
#[inline]
#[must_use]
pub fn octet(number: u8) -> ([u8; 4], usize) {
    let count = 2 + usize::from(number >= 10) + usize::from(number >= 100);
    (OCTETS[usize::from(number)], count)
}

/// Two digits of a number below 100.
#[inline]
#[must_use]
pub fn two_digits(number: u64) -> [u8; 2] {
    PAIRS[number as usize]
}

static PAIRS: [[u8; 2]; 100] = {
    let mut table = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        table[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    table
};

/// Numbers of one to three digits, each with a dot behind it.
static OCTETS: [[u8; 4]; 256] = {
    let mut table = [[b'.'; 4]; 256];
    let mut number = 0;
    while number < 256 {
        let [hundreds, tens, ones] = [number / 100, number / 10 % 10, number % 10];
        let (hundreds, tens, ones) = (b'0' + hundreds as u8, b'0' + tens as u8, b'0' + ones as u8);
        table[number] = match number {
            0..10 => [ones, b'.', b'.', b'.'],
            10..100 => [tens, ones, b'.', b'.'],
            _ => [hundreds, tens, ones, b'.'],
        };
        number += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn addresses_are_written_as_the_standard_library_writes_them(address: SocketAddr) {
            prop_assert_eq!(written(|out| push_ip(out, address.ip())), address.ip().to_string());
            prop_assert_eq!(written(|out| push_socket(out, &address)), address.to_string());
        }
    }

    #[test]
    fn numbers_are_written_as_the_standard_library_writes_them() {
        for number in (0..2000).chain([9999, 10_000, 65_535, 1_234_567, u64::MAX - 1, u64::MAX]) {
            assert_eq!(written(|out| push_decimal(out, number)), number.to_string());
        }
    }
}
