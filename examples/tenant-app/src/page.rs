//! What the app shows: one HTML page and one JSON object.

use serde_json::json;

use crate::config::Config;
use crate::database::{DatabaseError, Standing};

/// The page of this tenant; it says so when the database can't be reached.
pub(crate) fn html(config: &Config, standing: &Result<Standing, DatabaseError>) -> String {
    let mut rows = vec![("Tenant", config.public_host.clone())];
    match standing {
        Ok(s) => rows.extend([
            ("Database", s.database.clone()),
            ("Schema", s.schema.clone()),
            ("Role", s.role.clone()),
            ("Visits", s.visits.to_string()),
        ]),
        Err(_) => rows.push(("Database", "database unreachable".to_owned())),
    }
    rows.push(("Version", config.version.clone()));
    let rows: String = rows
        .into_iter()
        .map(|(name, value)| format!("<dt>{name}</dt><dd>{}</dd>\n", escape(&value)))
        .collect();
    let greeting = config
        .greeting
        .as_ref()
        .map(|text| format!("<p>{}</p>\n", escape(text)))
        .unwrap_or_default();
    document(&format!("{greeting}<dl>\n{rows}</dl>\n"))
}

/// A page with one sentence, which must hold nothing that needs escaping.
pub(crate) fn sentence(text: &str) -> String {
    document(&format!("<p>{text}</p>\n"))
}

fn document(body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Sign in</title></head>\n\
         <body>\n<h1>Sign in</h1>\n{body}</body>\n</html>\n"
    )
}

/// The same facts for programs.
pub(crate) fn whoami(config: &Config, standing: &Standing) -> String {
    json!({
        "database": standing.database,
        "schema": standing.schema,
        "role": standing.role,
        "visits": standing.visits,
        "version": config.version,
        "publicUrl": config.public_url,
    })
    .to_string()
}

/// `text` made safe inside an element or a quoted attribute.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn every_sign_with_a_meaning_is_escaped() {
        assert_eq!(
            escape(r#"<a href="x" id='y'>&amp;</a>"#),
            "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;amp;&lt;/a&gt;"
        );
    }

    #[test]
    fn other_text_stays() {
        assert_eq!(escape("grüße, 世界 ok"), "grüße, 世界 ok");
    }
}
