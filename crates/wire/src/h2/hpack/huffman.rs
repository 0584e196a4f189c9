//! The Huffman code, decoded four bits at a time (RFC 7541, 5.2 and appendix B).

use super::HpackError;
use super::huffman_code::CODE;

/// Appends what the code says.
///
/// # Errors
/// [`HpackError::BadHuffman`] if the end-of-string symbol is in it, or its padding is not the first bits of that
/// symbol, or longer than 7 bits.
pub(super) fn decode(code: &[u8], out: &mut Vec<u8>) -> Result<(), HpackError> {
    // No code is shorter than 5 bits.
    out.reserve(code.len() * 8 / 5);
    let mut node = 0_usize;
    for &byte in code {
        for half in [byte >> 4, byte & 0xf] {
            let step = &STEPS[node][usize::from(half)];
            if step.effect == EMIT {
                out.push(step.symbol);
            } else if step.effect == FAIL {
                return Err(HpackError::BadHuffman);
            }
            node = usize::from(step.next);
        }
    }
    if MAY_END[node] {
        Ok(())
    } else {
        Err(HpackError::BadHuffman)
    }
}

/// Bytes that the code of a text takes.
pub(super) fn encoded_len(text: &[u8]) -> usize {
    let bits: usize = text
        .iter()
        .map(|&byte| usize::from(CODE[usize::from(byte)].1))
        .sum();
    bits.div_ceil(8)
}

/// Appends a text's code.
pub(super) fn encode(text: &[u8], out: &mut Vec<u8>) {
    let (mut bits, mut count) = (0_u64, 0_u32);
    for &byte in text {
        let (code, len) = CODE[usize::from(byte)];
        bits = bits << len | u64::from(code);
        count += u32::from(len);
        while count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    if count > 0 {
        // Padding is the first bits of the end-of-string symbol, which are ones.
        out.push((bits << (8 - count)) as u8 | 0xff >> count);
    }
}

/// What four bits do at a node of the code's tree. No code is as short as four bits, so they complete one symbol
/// at most.
#[derive(Clone, Copy)]
struct Step {
    next: u8,
    symbol: u8,
    effect: u8,
}

const GO_ON: u8 = 0;
const EMIT: u8 = 1;
const FAIL: u8 = 2;

/// A leaf's mark among children; the rest is its symbol. Zero is no child: the root is nobody's.
const LEAF: u16 = 0x8000;
/// The tree has 257 leaves, so 256 inner nodes.
const NODES: usize = 256;

struct Tree {
    children: [[u16; 2]; NODES],
    /// Whether the way from the root is of ones only, and at most 7 of them: padding may end there.
    may_end: [bool; NODES],
}

static STEPS: [[Step; 16]; NODES] = steps(&tree());
static MAY_END: [bool; NODES] = tree().may_end;

const fn tree() -> Tree {
    let mut tree = Tree {
        children: [[0; 2]; NODES],
        may_end: [false; NODES],
    };
    tree.may_end[0] = true;
    let mut nodes = 1;
    let mut symbol = 0;
    while symbol < CODE.len() {
        let (code, len) = CODE[symbol];
        let mut node = 0;
        let mut depth = 1;
        let mut ones = true;
        while depth <= len {
            let bit = (code >> (len - depth) & 1) as usize;
            ones = ones && bit == 1;
            if depth == len {
                tree.children[node][bit] = LEAF | symbol as u16;
            } else {
                if tree.children[node][bit] == 0 {
                    tree.children[node][bit] = nodes as u16;
                    nodes += 1;
                }
                node = tree.children[node][bit] as usize;
                tree.may_end[node] = ones && depth <= 7;
            }
            depth += 1;
        }
        symbol += 1;
    }
    assert!(
        nodes == NODES,
        "a complete code has one inner node less than leaves"
    );
    tree
}

const fn steps(tree: &Tree) -> [[Step; 16]; NODES] {
    let nothing = Step {
        next: 0,
        symbol: 0,
        effect: GO_ON,
    };
    let mut steps = [[nothing; 16]; NODES];
    let mut from = 0;
    while from < NODES {
        let mut half = 0;
        while half < 16 {
            let mut step = nothing;
            let mut node = from;
            let mut bit = 4;
            while bit > 0 {
                bit -= 1;
                let child = tree.children[node][half >> bit & 1];
                if child == LEAF | 256 {
                    step.effect = FAIL;
                    node = 0;
                } else if child & LEAF != 0 {
                    step.symbol = child as u8;
                    step.effect = EMIT;
                    node = 0;
                } else {
                    node = child as usize;
                }
            }
            step.next = node as u8;
            steps[from][half] = step;
            half += 1;
        }
        from += 1;
    }
    steps
}
