//! Whether all bytes of a text are good, many at a time, in a form that compilers turn into vector
//! instructions.

/// Whether all bytes are good. Keep `good` free of branches (`&` and `|` in place of `&&` and `||`).
#[inline(always)]
#[must_use]
pub fn all(bytes: &[u8], good: impl Fn(u8) -> bool) -> bool {
    // What is left behind the last whole chunk is judged together with some bytes before it.
    let (chunks, _) = bytes.as_chunks::<16>();
    if let Some(last) = bytes.last_chunk::<16>() {
        return chunks.iter().all(|chunk| all_of(chunk, &good)) && all_of(last, &good);
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        return all_of(first, &good) & all_of(last, &good);
    }
    bytes.iter().all(|&byte| good(byte))
}

#[inline(always)]
fn all_of<const N: usize>(chunk: &[u8; N], good: impl Fn(u8) -> bool) -> bool {
    // Marked first and looked at as one: asked one after the other, they would be branches.
    let mut marks = [0_u8; N];
    for (mark, &byte) in marks.iter_mut().zip(chunk) {
        *mark = if good(byte) { 0 } else { 0xff };
    }
    marks == [0; N]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_byte_is_found_wherever_it_stands() {
        for len in 0..70 {
            let mut bytes = vec![b'x'; len];
            assert!(all(&bytes, |byte| byte == b'x'), "{len}");
            for at in 0..len {
                bytes[at] = b'y';
                assert!(!all(&bytes, |byte| byte == b'x'), "{at} of {len}");
                bytes[at] = b'x';
            }
        }
    }
}
