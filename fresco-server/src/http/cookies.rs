//! The cookies of a request.

use poem::http::{HeaderMap, header};

/// The values of the cookies of this name, as many as came.
///
/// A browser sends all cookies in one line, those of sibling sites and their bytes among them: one that
/// can't be read says nothing of the others.
pub(crate) fn cookies<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(header::COOKIE).iter();
    lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';')).filter_map(move |pair| {
        let pair = pair.trim_ascii();
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (key, value) = (&pair[..at], &pair[at + 1..]);
        // One of this name came, whatever is in it.
        (key == name.as_bytes()).then(|| std::str::from_utf8(value).unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &[u8]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, poem::http::HeaderValue::from_bytes(line).unwrap());
        cookies(&headers, "mine").map(str::to_owned).collect()
    }

    #[test]
    fn what_others_set_keeps_nobody_from_their_own() {
        assert_eq!(found(b"mine=a"), ["a"]);
        assert_eq!(found("x=é; mine=a; y=ü".as_bytes()), ["a"]);
        assert_eq!(found(b"x=\xff;mine=a"), ["a"]);
        assert_eq!(found(b"notmine=b; mine; mine=a=b"), ["a=b"]);
        assert_eq!(found(b"mine=a; mine=\xff"), ["a", ""], "both came");
        assert!(found(b"").is_empty());
    }
}
