//! The kinds of mistakes, each with a number that never changes meaning.

mod examples;

/// Whether a configuration with such a mistake is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It is.
    Error,
    /// It is used, but probably not meant so.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

macro_rules! codes {
    ($($name:ident $number:literal $severity:ident $doc:literal,)*) => {
        /// A kind of mistake.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $doc] $name,)*
        }

        impl Code {
            /// Every code, by number.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its stable number, such as `EK0011`.
            #[must_use]
            pub fn number(self) -> &'static str {
                match self { $(Self::$name => $number,)* }
            }

            /// Whether it is an error or a warning.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }

            /// What it means, in a sentence or two.
            #[must_use]
            pub fn explain(self) -> &'static str {
                match self { $(Self::$name => $doc,)* }
            }

            /// A page about it, for `evenkeel explain`.
            #[must_use]
            pub fn page(self) -> String {
                let mut page = format!("{}: {}\n\n{}\n", self.number(), self.severity().word(), self.explain());
                if let Some(example) = self.example() {
                    let indented = |text: &str| text.lines().map(|line| format!("    {line}\n")).collect::<String>();
                    page += &format!(
                        "\nWrong, in {}:\n\n{}\nRight:\n\n{}",
                        example.place.words(),
                        indented(example.wrong),
                        indented(example.right)
                    );
                }
                page
            }
        }
    };
}

codes! {
    Syntax "EK0001" Error "The text is not YAML (or JSON). Other documents of the file are still checked.",
    DuplicateKey "EK0002" Error "A mapping has the same key twice; YAML leaves open which one counts.",
    Tab "EK0003" Error "A tab indents a line; YAML indents with spaces only.",
    TooLarge "EK0004" Error "A file is larger than 64 MiB or has more than 100,000 documents.",
    NotAResource "EK0005" Error "A document is not a mapping with `apiVersion` and `kind`.",
    UnknownKind "EK0006" Error "No such `kind`, or not of this `apiVersion`.",
    UnknownField "EK0010" Error "The field does not exist here.",
    WrongType "EK0011" Error "The value has another type than the field asks for.",
    Missing "EK0012" Error "A required field is not there.",
    OutOfRange "EK0013" Error "A number, or the length of a text or list, is outside its bounds.",
    NotAllowed "EK0014" Error "The value is not one of those that the field can have.",
    BadDuration "EK0015" Error "Not a duration of GEP-2257: one to four groups of digits (at most five) and `h`, `m`, `s` or `ms`.",
    BadName "EK0016" Error "Not a name as Kubernetes has them (RFC 1123): lower-case letters, digits, `-`, and `.` in some.",
    BadHostname "EK0017" Error "Not a hostname in lower case, or a wildcard that is not the whole first label.",
    BadPath "EK0018" Error "Not an absolute path in its normal form: no `//`, no `.` or `..` segment, no encoded slash.",
    BadRegex "EK0019" Error "The regular expression cannot be compiled, or its program would be too large.",
    BadHeader "EK0020" Error "Not a field name or field value of HTTP (RFC 9110, 5.1 and 5.5).",
    BadAddress "EK0021" Error "Not an IP address, or not an address of the form that is asked for.",
    BadQuantity "EK0022" Error "Not a quantity of bytes such as `65536` or `64Ki`.",
    BadOrigin "EK0023" Error "Not an origin: `*`, or scheme, `://`, host and perhaps a port.",
    Exclusive "EK0024" Error "Fields that exclude each other are both there, or none of them is.",
    DuplicateName "EK0025" Error "Two things of one kind have the same name.",
    Later "EK0026" Error "The feature exists in the API and comes in a later release. It is refused rather than ignored.",
    Inconsistent "EK0027" Error "Two values contradict each other.",
    FramingField "EK0028" Error "A header filter edits a field that carries framing, routing or hop-by-hop meaning.",
    BadBase64 "EK0029" Error "Not base64 (RFC 4648, 4): groups of four letters, padded with `=`.",
    NoGateway "EK0030" Error "There is no Gateway, so nothing would listen.",
    GatewayNotFound "EK0031" Error "A reference to a Gateway, or to a listener of one, that does not exist.",
    BackendNotFound "EK0032" Error "A reference to a Backend that does not exist.",
    ServiceInFile "EK0033" Error "A reference to a Kubernetes Service, or to a port of one, that is not there.",
    NotGranted "EK0034" Error "A reference into another namespace without a ReferenceGrant there.",
    TargetNotFound "EK0035" Error "A policy's target does not exist.",
    PolicyConflict "EK0036" Error "Two policies of one kind have the same target.",
    NoParent "EK0037" Error "A route without `parentRefs`, and more or less than one Gateway.",
    NotAccepted "EK0038" Error "No listener of the Gateway accepts the route, by namespace, kind or hostname.",
    ListenerClash "EK0039" Error "Two listeners have the same address, port and hostname, or speak different protocols on one address.",
    SharedAddress "EK0040" Error "Listeners of one address would treat their clients differently.",
    SecretNotFound "EK0041" Error "A reference to a Secret or ConfigMap that does not exist, or is not of the type that is asked for.",
    UnreadableFile "EK0042" Error "A file that the configuration names cannot be read.",
    BadCertificate "EK0043" Error "A certificate, its chain or its private key is broken, or not in PEM.",
    KeyMismatch "EK0044" Error "A private key is not the one of its certificate.",
    BadVariable "EK0048" Error "A header filter's value has a `%` that begins no variable, or a variable that does not exist there.",
    OldVersion "EK0100" Warning "An older version of the API; it still works.",
    Ignored "EK0101" Warning "The field is accepted and has no effect.",
    NoShare "EK0102" Warning "Nothing can receive the rule's requests: they are answered with 500.",
    FirstCounts "EK0103" Warning "A match names the same field or parameter twice; only the first counts.",
    Foreign "EK0105" Warning "A kind of an API that evenkeel does not speak: it is ignored.",
    NoEndpoints "EK0106" Warning "Nothing says where a Service's endpoints are: requests to it are answered with 500.",
    Unused "EK0107" Warning "Nothing refers to it, so it has no effect.",
    RepeatsUnsafe "EK0108" Warning "A rule's retries may repeat requests such as POST that an endpoint has already applied.",
    SplitLimits "EK0109" Warning "A Backend has limits in several clusters: each of them counts for itself.",
    Shadowed "EK0110" Warning "No request comes to a rule: others take them all.",
    CertificateExpiry "EK0111" Warning "A certificate has expired, is not valid yet, or expires within 21 days. It is presented all the same.",
    ChainOrder "EK0112" Warning "The certificates of a chain are not in order: each is issued by the one behind it.",
    NameMismatch "EK0113" Warning "No certificate of a listener is for the listener's hostname, so clients refuse it.",
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ReadOptions, Source, read};

    fn codes_of(text: String) -> Vec<Code> {
        let source = Source {
            name: "example".to_owned(),
            text,
        };
        let mistakes = match read(&[source], &ReadOptions::default()) {
            Ok(model) => model.warnings,
            Err(mistakes) => mistakes,
        };
        mistakes.list().iter().map(|mistake| mistake.code).collect()
    }

    /// Each page's wrong example has that mistake, and its right one does not.
    #[test]
    fn every_example_shows_what_it_is_for() {
        let mut without = Vec::new();
        for code in Code::ALL {
            let Some(example) = code.example() else {
                without.push(code.number());
                continue;
            };
            let wrong = codes_of(example.place.whole(example.wrong));
            assert!(wrong.contains(code), "{}: {wrong:?}", code.number());
            let right = codes_of(example.place.whole(example.right));
            assert!(!right.contains(code), "{}: {right:?}", code.number());
        }
        let without_example = ["EK0004", "EK0044", "EK0111", "EK0112", "EK0113"];
        assert_eq!(
            without, without_example,
            "no few lines are too large a file, or a whole certificate"
        );
    }
}
