//! `fresco-server audit`: whether the log is as it was sealed, and what it tells of a tenant.

use std::io::{self, Write};

use fresco_core::{Error, ErrorKind, Result, TenantId};

use crate::accounts::{Accounts, AuditHead};

/// Rows that are read at a time.
const PAGE: u32 = 1_000;

/// Says whether the log is as it was sealed, and whether it is.
///
/// # Errors
/// As [`Accounts::verify_audit`]; `Internal` when it can't be said.
pub(crate) async fn verify(
    accounts: &Accounts,
    noted: Option<&AuditHead>,
    out: &mut impl Write,
) -> Result<bool> {
    let report = accounts.verify_audit(noted).await?;
    let mut text = format!("{} rows are as they were sealed", report.checked);
    if report.pruned > 0 {
        text.push_str(&format!("; {} before them were taken out as old", report.pruned));
    }
    if report.unsealed > 0 {
        text.push_str(&format!("; {} are not sealed yet", report.unsealed));
    }
    text.push('\n');
    match (&report.fault, &report.head) {
        (Some(fault), _) => text.push_str(&format!(
            "the audit log was tampered with: {fault}. docs/audit.md says what to do\n"
        )),
        (None, Some(head)) => text.push_str(&format!("head {head}\n")),
        (None, None) => {}
    }
    out.write_all(text.as_bytes()).map_err(unwritten)?;
    Ok(report.fault.is_none())
}

/// Writes all rows about a tenant, one a line, the oldest first.
///
/// # Errors
/// The database's own; `Internal` when nothing more can be written.
pub(crate) async fn export(
    accounts: &Accounts,
    tenant: TenantId,
    out: &mut impl Write,
) -> Result<()> {
    let mut after = 0;
    loop {
        let rows = accounts.audit_of(tenant.as_uuid(), after, PAGE).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.id;
        for row in &rows {
            let line = serde_json::to_string(row).map_err(|error| {
                Error::new(ErrorKind::Internal, "a row can't be put into JSON").with_source(error)
            })?;
            writeln!(out, "{line}").map_err(unwritten)?;
        }
    }
}

fn unwritten(error: io::Error) -> Error {
    Error::new(ErrorKind::Internal, "the answer can't be written").with_source(error)
}
