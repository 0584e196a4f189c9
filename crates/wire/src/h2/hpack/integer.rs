//! Integers (RFC 7541, 5.1).

use super::HpackError;

/// The integer in the low `prefix` bits of the first byte and what follows it, and how many bytes it takes.
pub(super) fn decode(input: &[u8], prefix: u32) -> Result<(usize, usize), HpackError> {
    let (&first, rest) = input.split_first().ok_or(HpackError::Truncated)?;
    let mask = (1_u32 << prefix) - 1;
    let mut value = u32::from(first) & mask;
    if value < mask {
        return Ok((value as usize, 1));
    }
    for (at, &byte) in rest.iter().take(MORE_BYTES_MAX).enumerate() {
        value += u32::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return if value < LIMIT {
                Ok((value as usize, at + 2))
            } else {
                Err(HpackError::IntegerTooLarge)
            };
        }
    }
    if rest.len() < MORE_BYTES_MAX {
        Err(HpackError::Truncated)
    } else {
        Err(HpackError::IntegerTooLarge)
    }
}

/// Appends an integer below 2^28, with `first` in the bits above the prefix.
pub(super) fn encode(out: &mut Vec<u8>, first: u8, prefix: u32, value: usize) {
    debug_assert!(value < LIMIT as usize, "{value} is larger than any length here");
    let mask = (1_usize << prefix) - 1;
    if value < mask {
        return out.push(first | value as u8);
    }
    out.push(first | mask as u8);
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// No string and no table is as long: limits on header blocks lie far below.
const LIMIT: u32 = 1 << 28;
/// Four bytes of seven bits each make 28 bits.
const MORE_BYTES_MAX: usize = 4;
