// Turns a built page of the site into what stands of it on paper or in an e-book.
//
// Runs in Chromium, in an empty document that has the address of the built page: its text is
// fetched, freed of what only a screen can use, its solutions are taken out to stand at the end of
// the book, and its links are named so that they can be led to their places when all is together.

import { onlyMathml } from "./mathml.js";

/** Links within the book begin with this until the places that they lead to are known. */
const INSIDE = "http://in.invalid";
/** Begins the text alternative of a formula, so that it is told from a figure's. */
const FORMULA = "\u2063";
/** The smallest that something too wide is drawn. */
const SMALLEST = 0.55;

const FURNITURE = `.headerlink, .page-end, .live-bar, .live-elsewhere, script, style, template, noscript,
  .explorable-beside, .explorable-live, .milestones-tools, .choose, .toctree-wrapper, .copy-code,
  .sd-summary-state-marker, .sd-summary-chevron-right, .sd-octicon, .d-print-none`;

/**
 * @typedef {object} Job
 * @property {string[]} pages addresses of the book's pages, from the root of the site
 * @property {string} site where the book is published, or empty
 * @property {number} depth how many headings stand above the page's first
 * @property {"pdf" | "epub"} target
 * @property {string} opening HTML that stands before the text: what opens a part
 * @property {string} heading instead of the page's own, or empty
 */

/**
 * @typedef {object} Heading
 * @property {number} level of the heading in the book
 * @property {string} id
 * @property {string} number
 * @property {string} text without formulas' markup
 * @property {string} html
 */

/** @param {ParentNode} root @param {string} selector @returns {any[]} */
const all = (root, selector) => [...root.querySelectorAll(selector)];

/** @param {Element} element @param {string} name @returns {HTMLElement} the element, of another name */
function renamed(element, name) {
  const other = document.createElement(name);
  for (const { name: key, value } of element.attributes) other.setAttribute(key, value);
  other.append(...element.childNodes);
  element.replaceWith(other);
  return other;
}

/** @param {string} name @param {string} className @param {...(Node | string)} inside */
function made(name, className, ...inside) {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.append(...inside);
  return element;
}

/** @returns {Promise<HTMLElement>} the article of the built page that has this document's address */
async function built() {
  const answer = await fetch(`/_built${location.pathname}`);
  if (!answer.ok) throw new Error(`${location.pathname} is not built`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const article = page.querySelector("article");
  if (!article) throw new Error(`${location.pathname} has no text`);
  return document.adoptNode(article);
}

// ---- what is taken away, unfolded, and put elsewhere -----------------------------------------

/** @param {HTMLElement} article */
function cleared(article) {
  for (const element of all(article, FURNITURE)) element.remove();
  for (const button of all(article, "button.explorable-set")) renamed(button, "em").removeAttribute("type");
  for (const box of all(article, "li.milestone > input")) box.replaceWith(made("span", "box", "☐"), " ");
  for (const element of all(article, "form, input, select, output, button")) element.remove();
  for (const element of all(article, "[tabindex]")) element.removeAttribute("tabindex");
  for (const element of all(article, "[title]")) element.removeAttribute("title");
  for (const picture of all(article, "img")) picture.removeAttribute("decoding");
  // The site prints this page as sheets of its own; in the book it is a page like the others.
  const sheets = article.querySelector("#sec-quick-reference");
  if (sheets) {
    const name = made("span", "");
    name.id = sheets.id;
    sheets.removeAttribute("id");
    sheets.querySelector("h1").prepend(name);
  }
  // The last first: where there are several, each comes to stand before the heading.
  for (const name of all(article, "section > span[id]:empty").reverse()) {
    // Between two headings it would be a line on which a page may end.
    const heading = name.nextElementSibling;
    if (/^h[1-6]$/.test(heading?.localName ?? "")) heading.prepend(name);
  }
}

/** Keeps punctuation on the line of the formula that it stands beside. @param {HTMLElement} root */
function joinedPunctuation(root) {
  for (const formula of all(root, "span.math")) {
    const { nextSibling: next, previousSibling: before } = formula;
    if (next instanceof Text && /^[,.;:!?)\]’”–-]/.test(next.data)) next.data = `\u2060${next.data}`;
    if (before instanceof Text && /[([“‘]$/.test(before.data)) before.data += "\u2060";
  }
}

/** @param {HTMLElement} article @param {Job["target"]} target */
function unfolded(article, target) {
  for (const fold of all(article, "details.hide")) {
    const cell = fold.closest(".cell");
    const draws = fold.matches(".above-input") && cell?.querySelector(".cell_output figure, .cell_output img");
    if (draws && target === "pdf" && !cell.querySelector(".check-badge")) {
      fold.remove(); // what draws a figure is no part of the argument
    } else if (draws && target === "epub") {
      fold.querySelector("summary").replaceChildren("The code that draws this");
    } else {
      fold.querySelector("summary").remove();
      renamed(fold, "div").className = "";
    }
  }
  for (const fold of all(article, "details.sd-dropdown")) {
    const title = made("p", "unfolded-title", ...fold.querySelector("summary .sd-summary-text").childNodes);
    const body = fold.querySelector(".sd-card-body");
    body.className = "unfolded-body";
    fold.querySelector("summary").remove();
    fold.prepend(title);
    renamed(fold, "div").className = "unfolded";
  }
  const folds = "details:not(.solution, .lab-solution, .hide)";
  for (const fold of all(article, folds)) {
    for (const line of all(fold, ":scope > summary")) renamed(line, "p");
    renamed(fold, "div").removeAttribute("open");
  }
}

/** @param {string} id @param {string} text */
function link(id, text) {
  const anchor = made("a", "", text);
  anchor.setAttribute("href", `${INSIDE}${location.pathname}#${id}`);
  return anchor;
}

/**
 * Takes the solutions out and leaves a link to each.
 *
 * @param {HTMLElement} article
 * @returns {HTMLElement[]} a section for each exercise, or for each step of a lab
 */
function solutionsOf(article) {
  /** @type {HTMLElement[]} */
  const sections = [];
  /** @type {Element | null} */
  let step = null;
  all(article, "details:is(.solution, .lab-solution)").forEach((solution, place) => {
    solution.querySelector(":scope > summary").remove();
    const title = made("h1", "", "Solution");
    if (solution.matches(".lab-solution")) {
      const cell = solution.closest(".cell");
      const heading = solution.closest("section")?.querySelector("h1, h2, h3, h4");
      cell.id ||= `to-write-${place + 1}`;
      const code = made("div", "cell", ...solution.childNodes);
      code.id = `written-${place + 1}`;
      solution.replaceWith(made("p", "to-solution", link(code.id, "Solution")));
      if (heading === step) {
        sections.at(-1).append(code);
        return;
      }
      step = heading;
      title.replaceChildren(link(cell.id, ""));
      title.firstElementChild.append(...heading.cloneNode(true).childNodes);
      for (const name of all(title, "[id]")) name.remove();
      sections.push(made("section", "solved", title, code));
      return;
    }
    step = null;
    const before = solution.previousElementSibling;
    const exercise =
      article.querySelector(`#${CSS.escape(solution.id.replace(/^sol-/, "ex-"))}`) ??
      (before?.matches(".exercise") ? before : null);
    solution.id ||= `solution-${place + 1}`;
    if (exercise) {
      title.replaceChildren(link(exercise.id, ""));
      const said = exercise.querySelector(".admonition-title").cloneNode(true);
      title.firstElementChild.append(...said.childNodes);
      exercise.append(made("p", "to-solution", link(solution.id, "Solution")));
    }
    const section = made("section", "solved", title, ...solution.childNodes);
    section.id = solution.id;
    solution.remove();
    sections.push(section);
  });
  return sections;
}

// ---- links, headings and formulas ------------------------------------------------------------

/** @param {HTMLElement} root @param {Job} job */
function namedLinks(root, job) {
  const pages = new Set(job.pages);
  for (const anchor of all(root, "a")) {
    const given = anchor.getAttribute("href");
    anchor.removeAttribute("target");
    anchor.removeAttribute("rel");
    if (given === null || given.startsWith(INSIDE)) continue;
    const url = new URL(given, location.href);
    if (url.origin !== location.origin) {
      anchor.classList.add("leads-out");
    } else if (pages.has(url.pathname.slice(1))) {
      anchor.setAttribute("href", `${INSIDE}${url.pathname}${url.hash}`);
    } else if (job.site && given !== "#") {
      anchor.setAttribute("href", job.site + url.pathname.slice(1) + url.search + url.hash);
    } else {
      anchor.replaceWith(...anchor.childNodes);
    }
  }
}

/** @param {HTMLElement} root @param {number} depth */
function shifted(root, depth) {
  for (const heading of all(root, "h1, h2, h3, h4, h5, h6")) {
    renamed(heading, `h${Math.min(6, Number(heading.localName[1]) + depth)}`);
  }
}

/** @param {Element} element @returns {string} its words, each formula once */
function words(element) {
  const copy = /** @type {Element} */ (element.cloneNode(true));
  for (const twice of all(copy, ".katex-html, annotation")) twice.remove();
  return copy.textContent.replace(/[\u2060-\u2063\u200b]/g, "").replace(/\s+/g, " ").trim();
}

/** @param {HTMLElement} root @returns {Heading[]} */
function headingsOf(root) {
  return all(root, "h1, h2, h3, h4, h5, h6").map((heading) => {
    const number = heading.querySelector(".section-number");
    const copy = heading.cloneNode(true);
    copy.querySelector(".section-number")?.remove();
    for (const name of all(copy, "span[id]:empty")) name.remove();
    for (const anchor of all(copy, "a")) anchor.replaceWith(...anchor.childNodes);
    return {
      level: Number(heading.localName[1]),
      id: (heading.closest("[id]") ?? heading.querySelector("[id]"))?.id ?? "",
      number: number?.textContent.trim().replace(/\.$/, "") ?? "",
      text: words(copy),
      html: copy.innerHTML.trim(),
    };
  });
}

/** @param {HTMLElement} root Formulas are drawn; their TeX is what a screen reader gets. */
function drawnFormulas(root) {
  for (const formula of all(root, ".katex")) {
    const tex = formula.querySelector("annotation")?.textContent ?? "";
    formula.querySelector(".katex-mathml")?.remove();
    formula.querySelector(".katex-html")?.removeAttribute("aria-hidden");
    formula.setAttribute("role", "img");
    formula.setAttribute("aria-label", FORMULA + tex);
  }
}

/** @param {string} tag @param {Job} job @param {HTMLElement} inside */
function whole(tag, job, inside) {
  const text = made("article", `bd-article ${tag}`, inside);
  if (job.opening) text.insertAdjacentHTML("afterbegin", job.opening);
  namedLinks(text, job);
  return text;
}

/** @param {Job} job @returns {Promise<HTMLElement>} the text of a page without its solutions */
export async function text(job) {
  const article = await built();
  cleared(article);
  unfolded(article, job.target);
  solutionsOf(article);
  if (job.heading) article.querySelector("h1").replaceChildren(job.heading);
  shifted(article, job.depth);
  const body = made("div", "", ...article.childNodes);
  return whole("text", job, body);
}

/** @param {Job} job @returns {Promise<HTMLElement | null>} the solutions of a page */
export async function solutions(job) {
  const article = await built();
  cleared(article);
  unfolded(article, job.target);
  const heading = article.querySelector("h1");
  const sections = solutionsOf(article);
  if (!sections.length) return null;
  for (const section of sections) shifted(section, 2);
  const title = made("h1", "", ...heading.cloneNode(true).childNodes);
  for (const name of all(title, "[id]")) name.remove();
  const body = made("section", "", title, ...sections);
  body.id = "solutions";
  renamed(title, "h2");
  return whole("solutions", job, body);
}

// ---- onto paper ------------------------------------------------------------------------------

/** @param {Element} box @param {Element} inside @param {(ratio: number) => void} scale */
function fitted(box, inside, scale) {
  const room = box.clientWidth;
  const wide = Math.max(inside.scrollWidth, inside.getBoundingClientRect().width);
  if (wide > room + 1) scale(Math.max(SMALLEST, (room - 1) / wide));
}

/** What is wider than the page is drawn smaller. */
function fitAll() {
  for (const box of all(document, ".math-formula")) {
    const inside = box.querySelector(".katex-display > .katex");
    if (!inside) continue;
    const size = parseFloat(getComputedStyle(inside).fontSize);
    fitted(box, box, (ratio) => (inside.style.fontSize = `${size * ratio}px`));
  }
  for (const table of all(document, ".pst-scrollable-table-container > table")) {
    const box = table.parentElement;
    const tooWide = () => table.offsetWidth > box.clientWidth + 1;
    if (tooWide() && table.offsetWidth * SMALLEST > box.clientWidth) table.classList.add("breaking");
    if (tooWide()) fitted(box, table, (ratio) => (table.style.zoom = String(ratio)));
  }
}

/** @returns {string[]} what reaches beyond the edge of the text, told by its own words */
function sticksOut() {
  const edge = document.body.getBoundingClientRect().right + 4; // what ends a formula is no ink
  /** @type {Element[]} */
  const found = [];
  for (const element of all(document.body, "*")) {
    if (element.closest("[hidden], svg")) continue;
    const box = element.getBoundingClientRect();
    if (box.right > edge && box.width && !found.some((other) => element.contains(other))) {
      const inside = found.findIndex((other) => other.contains(element));
      if (inside < 0) found.push(element);
    }
  }
  return found
    .filter((one) => !found.some((other) => other !== one && one.contains(other)))
    .map((one) => `${one.localName}.${one.className}: ${words(one).slice(0, 60)}`);
}

/** Asks for a destination for everything that has a name: Chromium keeps those that are linked. */
function destinations() {
  const list = made("div", "");
  list.hidden = true;
  for (const { id } of all(document.body, "[id]")) {
    const anchor = made("a", "");
    anchor.setAttribute("href", `#${encodeURIComponent(id)}`);
    list.append(anchor);
  }
  document.body.append(list);
}

/**
 * Fills the document and makes it ready to be printed.
 *
 * @param {{kind: "text" | "solutions" | "made", html?: string, beyond?: boolean} & Job} job
 * @returns {Promise<{headings: Heading[], ids: string[], out: string[]} | null>}
 */
export async function print(job) {
  /** @type {HTMLElement | null} */
  let article;
  if (job.kind === "made") {
    article = made("article", "bd-article made");
    article.innerHTML = job.html;
  } else {
    article = await (job.kind === "text" ? text(job) : solutions(job));
  }
  if (!article) return null;
  const headings = headingsOf(article);
  joinedPunctuation(article);
  drawnFormulas(article);
  document.body.replaceChildren(article);
  await Promise.all(all(document, "img").map((picture) => picture.decode()));
  document.body.getBoundingClientRect();
  await document.fonts.ready;
  fitAll();
  await document.fonts.ready;
  const out = job.beyond ? [] : sticksOut();
  const ids = all(article, "[id]").map((element) => element.id);
  destinations();
  return { headings, ids, out };
}

// ---- into an e-book --------------------------------------------------------------------------

/**
 * Returns the text of a page, or its solutions, as XHTML.
 *
 * @param {{kind: "text" | "solutions"} & Job} job
 */
export async function xhtml(job) {
  const article = await (job.kind === "text" ? text(job) : solutions(job));
  if (!article) return null;
  const headings = headingsOf(article);
  onlyMathml(article);
  for (const heading of headings) {
    const line = made("span", "");
    line.innerHTML = heading.html;
    onlyMathml(line);
    heading.html = new XMLSerializer().serializeToString(line);
  }
  const images = all(article, "img").map((picture) => {
    const address = new URL(picture.getAttribute("src"), location.href).pathname;
    picture.setAttribute("src", `${INSIDE}${address}`);
    return address.slice(1);
  });
  const ids = all(article, "[id]").map((element) => element.id);
  const body = new XMLSerializer().serializeToString(article);
  // What a terminal may write and XML may not hold.
  return { headings, ids, images, body: body.replace(/[\x00-\x08\x0b\x0c\x0e-\x1f]/g, "") };
}
