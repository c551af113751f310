// The terms, as the wizard shows them.
import { link } from "./signup-told.js";

/** Puts the texts of the pages of these names into their boxes. */
export async function readDocuments() {
  for (const box of document.querySelectorAll("[data-document]:not([data-read])")) {
    box.dataset.read = "";
    box.textContent = "One moment …";
    try {
      const answer = await fetch(box.dataset.document, { headers: { accept: "text/html" } });
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const text = page.getElementById("main");
      for (const part of text.querySelectorAll("h1, script, form, nav, .notice")) part.remove();
      for (const part of text.querySelectorAll("[id]")) part.removeAttribute("id");
      for (const a of text.querySelectorAll("a[href]")) a.target = "_blank";
      // Headings stand below that of the box.
      for (const heading of text.querySelectorAll("h2, h3, h4")) {
        const lower = document.createElement(`h${Number(heading.tagName[1]) + 1}`);
        lower.append(...heading.childNodes);
        heading.replaceWith(lower);
      }
      box.replaceChildren(...document.adoptNode(text).childNodes);
    } catch {
      delete box.dataset.read;
      const page = link(box.dataset.document, "Read it in a tab of its own");
      page.target = "_blank";
      const words = document.createElement("p");
      words.append("The text can't be shown here at the moment. ", page, ".");
      box.replaceChildren(words);
    }
  }
}
