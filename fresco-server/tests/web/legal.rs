//! The terms, and the operators' own in their place.

use crate::{Visitor, site};

#[tokio::test]
#[ignore = "needs Docker"]
async fn the_texts_are_those_of_the_program_or_of_the_operators() {
    let folder = std::env::temp_dir().join(format!("fresco-legal-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir_all(&folder).unwrap();
    let own = "# Our terms & yours\n\nWrite to {contact}.\n\n<script>alert(1)</script>\n";
    std::fs::write(folder.join("terms.md"), own).unwrap();
    let settings = [
        ("LEGAL_DIRECTORY", folder.to_str().unwrap()),
        ("OPERATOR_CONTACT", "https://example.org/help"),
    ];
    let site = site(&settings).await;
    // They were read when the server started.
    std::fs::remove_dir_all(&folder).unwrap();
    let visitor = Visitor::new(&site);
    let terms = visitor.get("/terms").await.is(200);
    terms.has("<title>Our terms &#38; yours · ").has("<h1>Our terms &amp; yours</h1>");
    terms.has("Write to <a href=\"https://example.org/help\">example.org/help</a>.");
    terms.has("&lt;script&gt;alert(1)").lacks("<script>");
    for (path, heading) in [("/privacy", "Privacy"), ("/service-level", "Service level")] {
        let text = visitor.get(path).await.is(200);
        text.has(&format!("<h1>{heading}</h1>")).has("example.org/help");
        assert_eq!(text.text.matches("<h1").count(), 1, "{path}");
    }
}
