//! HPACK against Python's `hpack`: what one encodes the other decodes, over many blocks of one connection. Skipped
//! where the package is missing: `pip install hpack`, for `python3` or for the Python that `H2_PYTHON` names.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use wire::h2::hpack::{Decoder, Encoder, Indexing, Strings};

/// Reads lines: `d BLOCK` is answered by the fields of the block, `e FIELDS` by a block of these; all in hexadecimal,
/// names and values by turns. `s SIZE` changes the table of its encoder.
const ORACLE: &str = r#"
import sys, hpack
encoder, decoder = hpack.Encoder(), hpack.Decoder()
for line in sys.stdin:
    what, _, rest = line.strip().partition(" ")
    if what == "s":
        encoder.header_table_size = int(rest)
        print()
    elif what == "d":
        fields = decoder.decode(bytes.fromhex(rest), raw=True)
        print(" ".join(text.hex() or "-" for field in fields for text in field[:2]))
    else:
        texts = [b"" if text == "-" else bytes.fromhex(text) for text in rest.split()]
        pairs = list(zip(texts[::2], texts[1::2]))
        print(encoder.encode(pairs, huffman=len(pairs) % 2 == 0).hex())
    sys.stdout.flush()
"#;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

struct Oracle {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Oracle {
    fn start() -> Option<Self> {
        let python = std::env::var_os("H2_PYTHON").unwrap_or_else(|| "python3".into());
        let probe = Command::new(&python)
            .args(["-c", "import hpack"])
            .stderr(Stdio::null())
            .status();
        if !probe.is_ok_and(|status| status.success()) {
            return None;
        }
        let mut command = Command::new(python);
        command
            .args(["-c", ORACLE])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().ok()?;
        let (input, output) = (child.stdin.take()?, BufReader::new(child.stdout.take()?));
        Some(Self { child, input, output })
    }

    fn ask(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}").expect("it reads");
        let mut answer = String::new();
        self.output.read_line(&mut answer).expect("it answers");
        assert!(answer.ends_with('\n'), "it refused {line}");
        answer.trim().to_owned()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("two digits");
    (0..hex.len() / 2).map(|at| digit(2 * at)).collect()
}

fn texts(fields: &Fields) -> String {
    let text = |text: &[u8]| {
        if text.is_empty() {
            "-".to_owned()
        } else {
            hex(text)
        }
    };
    let both = fields.iter().flat_map(|(name, value)| [text(name), text(value)]);
    both.collect::<Vec<_>>().join(" ")
}

/// Chance with a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn fields(&mut self) -> Fields {
        let names: [&[u8]; 9] = [
            b":method",
            b":path",
            b"accept",
            b"server",
            b"cookie",
            b"x-own",
            b"via",
            b"user-agent",
            b"content-length",
        ];
        let values: [&[u8]; 7] = [
            b"",
            b"GET",
            b"/",
            b"text/html; charset=utf-8",
            b"\x00\xff\x80 ",
            &[b'v'; 700],
            b"12",
        ];
        let count = self.below(9);
        let field = |_| {
            let mut value = values[self.below(values.len())].to_vec();
            // One in three is seen only once.
            if self.below(3) == 0 {
                value.extend((0..self.below(20)).map(|_| self.below(256) as u8));
            }
            (names[self.below(names.len())].to_vec(), value)
        };
        (0..count).map(field).collect()
    }
}

#[test]
fn what_one_encodes_the_other_decodes() {
    let Some(mut oracle) = Oracle::start() else {
        eprintln!("skipped: Python's hpack is not installed (pip install hpack)");
        return;
    };
    let mut dice = Dice(7);
    let (mut encoder, mut decoder) = (Encoder::new(Indexing::Dynamic), Decoder::new());
    for round in 0..3000 {
        let fields = dice.fields();
        let mut block = Vec::new();
        if round % 50 == 49 {
            encoder.on_peer_table_size(dice.below(4097) as u32);
        }
        encoder.begin(&mut block);
        for (name, value) in &fields {
            encoder.field(&mut block, name, value, false);
        }
        assert_eq!(
            oracle.ask(&format!("d {}", hex(&block))),
            texts(&fields),
            "{round}"
        );

        if round % 70 == 69 {
            oracle.ask(&format!("s {}", dice.below(4097)));
        }
        let block = bytes(&oracle.ask(&format!("e {}", texts(&fields))));
        let mut read = Fields::new();
        let take = |field: wire::h2::hpack::Field<'_>| read.push((field.name.to_vec(), field.value.to_vec()));
        assert_eq!(
            decoder.decode(&block, &mut Strings::default(), take),
            Ok(()),
            "{round}"
        );
        assert_eq!(read, fields, "{round}");
    }
}
