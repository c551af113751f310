//! The texts on whose terms the platform is offered: the operators' own, or those that come with the
//! program.

use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

use crate::config::Config;

/// The texts as pages show them.
#[derive(Clone, Debug)]
pub(super) struct Legal {
    pub(super) terms: Text,
    pub(super) privacy: Text,
    pub(super) service_level: Text,
}

/// One text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    /// Its first heading, as plain text.
    pub(super) title: String,
    /// All of it as HTML, in which nothing runs and nothing is loaded.
    pub(super) html: String,
}

impl Legal {
    pub(super) fn new(config: &Config) -> Self {
        let places = places(config);
        let own = &config.pages.legal;
        let text = |own: &Option<String>, ours: &str| {
            Text::of(&filled(own.as_deref().unwrap_or(ours), &places))
        };
        Self {
            terms: text(&own.terms, include_str!("../../texts/terms.md")),
            privacy: text(&own.privacy, include_str!("../../texts/privacy.md")),
            service_level: text(&own.service_level, include_str!("../../texts/service-level.md")),
        }
    }
}

/// What stands in the texts for what the settings say.
fn places(config: &Config) -> [(&'static str, String); 8] {
    let pages = &config.pages;
    let contact = pages.contact.as_ref().map(|contact| {
        let (text, href) = (literal(&contact.text()), contact.href());
        format!("[{text}](<{href}>)")
    });
    let operator = pages.operator.as_deref().map(literal);
    let operator = operator.unwrap_or_else(|| "the operators of this platform".to_owned());
    let days = |time: std::time::Duration| (time.as_secs() / 86_400).to_string();
    [
        ("{contact}", contact.unwrap_or_else(|| operator.clone())),
        ("{operator}", operator),
        ("{session_days}", days(config.session_life)),
        ("{audit_days}", days(config.audit_keep)),
        ("{unverified_hours}", (config.trial.life.as_secs() / 3600).to_string()),
        ("{memory}", config.tenants.memory_mb.default.to_string()),
        ("{cpus}", config.tenants.cpus.default.to_string()),
        ("{disk}", (config.tenant_disk >> 20).to_string()),
    ]
}

fn filled(text: &str, places: &[(&str, String)]) -> String {
    places.iter().fold(text.to_owned(), |text, (place, value)| text.replace(place, value))
}

/// The same text in Markdown, whatever characters are in it.
fn literal(text: &str) -> String {
    let escaped =
        |letter: char| letter.is_ascii_punctuation().then_some('\\').into_iter().chain([letter]);
    text.chars().flat_map(escaped).collect()
}

impl Text {
    fn of(markdown: &str) -> Self {
        let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
        let events: Vec<_> = Parser::new_ext(markdown, options).map(tame).collect();
        let mut html = String::with_capacity(markdown.len() * 2);
        html::push_html(&mut html, events.iter().cloned());
        Self { title: title(&events), html }
    }
}

/// Markup is shown as what it is, text; links lead only to what a reader can follow, and pictures, which
/// no page of ours loads from elsewhere, are their descriptions.
fn tame(event: Event<'_>) -> Event<'_> {
    match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        Event::Start(Tag::HtmlBlock) => Event::Start(Tag::Paragraph),
        Event::End(TagEnd::HtmlBlock) => Event::End(TagEnd::Paragraph),
        Event::Start(Tag::Image { .. }) => Event::Start(Tag::Emphasis),
        Event::End(TagEnd::Image) => Event::End(TagEnd::Emphasis),
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            let dest_url = if leads_on(&dest_url) { dest_url } else { CowStr::Borrowed("#") };
            Event::Start(Tag::Link { link_type, dest_url, title, id })
        }
        event => event,
    }
}

fn leads_on(link: &str) -> bool {
    let known = ["https://", "http://", "mailto:", "tel:"];
    // An e-mail address between angle brackets has no scheme.
    let plain = !link.contains(':');
    plain || known.iter().any(|scheme| link.to_ascii_lowercase().starts_with(scheme))
}

fn title(events: &[Event<'_>]) -> String {
    let first = |event: &Event<'_>| {
        !matches!(event, Event::Start(Tag::Heading { level: HeadingLevel::H1, .. }))
    };
    let inside = events.iter().skip_while(|event| first(event));
    let inside = inside.take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
    inside
        .filter_map(|event| match event {
            Event::Text(text) | Event::Code(text) => Some(text.as_ref()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Values;

    fn legal(settings: &[(&str, &str)]) -> Legal {
        Legal::new(&Config::read(&Values::new(settings.iter().copied())).unwrap())
    }

    #[test]
    fn the_texts_that_come_with_the_program_leave_nothing_to_fill_in() {
        let operator = "*The* <b>lab</b> & Co. [x](y) {contact}";
        let named = [("OPERATOR_NAME", operator), ("OPERATOR_CONTACT", "o_o@example.org")];
        for (settings, contact) in [
            (&[][..], "write to the operators of this platform"),
            (&named[..], "write to <a href=\"mailto:o_o@example.org\">o_o@example.org</a>"),
        ] {
            let Legal { terms, privacy, service_level } = legal(settings);
            for text in [&terms, &privacy, &service_level] {
                assert!(text.html.starts_with(&format!("<h1>{}</h1>\n", text.title)), "{text:?}");
                assert_eq!(text.html.matches("<h1>").count(), 1);
                let braces = text.html.replace("{contact}", "");
                assert!(!braces.contains(['{', '}']), "{}", text.html);
            }
            assert!(service_level.html.contains(contact), "{}", service_level.html);
            assert!(service_level.html.contains("Up to 512 MB of memory and 0.5 processor"));
            assert!(privacy.html.contains("deleted after 365 days"));
        }
        let terms = legal(&named).terms.html;
        let shown = "*The* &lt;b&gt;lab&lt;/b&gt; &amp; Co. [x](y) {contact}";
        assert!(terms.contains(shown), "{terms}");
    }

    #[test]
    fn markup_is_text_and_nothing_in_a_text_runs_or_is_loaded() {
        let text = Text::of(
            "# Our *terms* `1`\n\n<script>alert(1)</script>\n\nan <img src=x onerror=alert(2)> image\n\n\
             ![a plan](https://evil.example/x.png)\n\n[a](javascript:alert(3)) [b](JAVASCRIPT:x) \
             [c](data:text/html,x) [d](/privacy) [e](https://example.org) <a@example.org>",
        );
        assert_eq!(text.title, "Our terms 1");
        for markup in ["<script", "<img", "javascript:", "JAVASCRIPT:", "data:", "evil.example"] {
            assert!(!text.html.contains(markup), "{markup} in {}", text.html);
        }
        for shown in [
            "<p>&lt;script&gt;alert(1)&lt;/script&gt;",
            "&lt;img src=x onerror=alert(2)&gt;",
            "<em>a plan</em>",
            "<a href=\"#\">a</a>",
            "<a href=\"/privacy\">d</a>",
            "<a href=\"https://example.org\">e</a>",
            "<a href=\"mailto:a@example.org\">a@example.org</a>",
        ] {
            assert!(text.html.contains(shown), "{shown} is missing in {}", text.html);
        }
    }
}
