//! The resolver's answers in words.

use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;

/// Why a name has no address, in the resolver's words as a person says them.
pub(super) fn words(error: &NetError) -> String {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => code(none.response_code),
        NetError::Dns(DnsError::ResponseCode(answered)) => code(*answered),
        NetError::Timeout => SILENT.to_owned(),
        NetError::NoConnections => "no name server could be reached".to_owned(),
        NetError::Io(error) => format!("no name server could be reached: {error}"),
        NetError::Proto(error) => format!("the name or the answer is malformed: {error}"),
        NetError::Busy => "the resolver is busy".to_owned(),
        other => other.to_string(),
    }
}

/// No answer came within the time that there is.
pub(super) const SILENT: &str = "no name server answered in time";

fn code(code: ResponseCode) -> String {
    match code {
        ResponseCode::NXDomain => "there is no such name (NXDOMAIN)".to_owned(),
        ResponseCode::NoError => "the name exists, but has no A or AAAA record (NODATA)".to_owned(),
        ResponseCode::ServFail => "the name server failed to answer (SERVFAIL)".to_owned(),
        ResponseCode::Refused => "the name server refused to answer (REFUSED)".to_owned(),
        other => format!("the name server answered: {other} (code {})", u16::from(other)),
    }
}
