/**
 * Builds a link to any part of the book: to read it, or to run its page somewhere, in an edition, at
 * the address where the book is published. What is chosen is in the page's own address.
 */

import { named } from "./entries.js";
import { binderLink, colabLink, hubAddress, hubLink, keptHub } from "./launch.js";

/** @typedef {import("./entries.js").Entry} Entry */
/**
 * @typedef {object} Edition of editions.json
 * @property {string} name
 * @property {string} title
 * @property {string} url
 */

/**
 * The address of a site, with a slash at its end.
 * @param {string} typed
 * @throws {Error} whose message says what is wrong
 */
export function siteAddress(typed) {
  const text = typed.trim();
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) {
    throw new Error("The address of the site begins with https://.");
  }
  const { origin, pathname } = new URL(text);
  return `${origin}${pathname.replace(/[^/]*\.html$/, "").replace(/\/*$/, "/")}`;
}

/**
 * @param {object} wanted
 * @param {Entry} wanted.entry
 * @param {string} wanted.to read, run, binder, hub, colab or notebook
 * @param {string} wanted.site where the book is published, with its edition
 * @param {string} wanted.hub as somebody typed it
 * @param {object} launch launch.json of the edition
 * @returns {string}
 * @throws {Error} whose message says why there is no such link
 */
export function linkTo({ entry, to, site, hub }, launch) {
  const place = siteAddress(site);
  if (to === "read") return place + entry.url;
  const page = launch.pages[entry.page];
  if (!page) throw new Error("This page has no code: it can only be read.");
  if (to === "run") {
    if (!page.live) throw new Error("No cell of this page runs in a browser.");
    return place + entry.url.replace("#", "?run#");
  }
  if (to === "notebook") return place + page.notebook;
  if (!launch.repository) throw new Error("The notebooks of this site are published nowhere.");
  if (to === "binder") return binderLink(launch, page.notebook);
  if (to === "hub") return hubLink(launch, page.notebook, hubAddress(hub));
  const colab = colabLink(launch, page.notebook);
  if (!colab) throw new Error("Colab opens notebooks from GitHub only.");
  return colab;
}

const escaped = (text) => text.replace(/[&<>"]/g, (one) => `&#${one.charCodeAt(0)};`);

/** @type {Record<string, (url: string, name: string) => string>} */
export const FORMS = {
  link: (url) => url,
  markdown: (url, name) => `[${name.replace(/[\\[\]]/g, "\\$&")}](${url})`,
  html: (url, name) => `<a href="${escaped(url)}">${escaped(name)}</a>`,
};

// ---- the form ----

const SHOWN = 200;

/** @param {HTMLElement} box */
async function start(box) {
  const form = box.querySelector("form");
  const { q, id, to, edition, site, hub } = form.elements;
  const say = box.querySelector("[role=status]");
  const result = box.querySelector(".linking-result");
  const open = box.querySelector(".linking-open");
  const root = new URL(box.dataset.root || "./", location.href);
  const here = document.querySelector("script[src*='links.js']").dataset.edition;
  const load = async (address) => {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
    return answer.json();
  };
  const whole = new URL(here ? "../" : "./", root);
  /** @type {Edition[]} */
  const editions = here
    ? await load(new URL("editions.json", whole)).catch(() => [])
    : [];
  const state = new URLSearchParams(location.search);
  for (const one of editions) edition.append(new Option(one.title, one.name));
  edition.closest("label").hidden = !editions.length;
  const chosen = () => editions.find((one) => one.name === edition.value);
  edition.value = editions.some((one) => one.name === state.get("edition"))
    ? state.get("edition")
    : here;
  // Where there are no others, the address of the pages is that of the site.
  const folder = () => (editions.length ? new URL(chosen().url, whole) : root);
  const known = new Map();

  /** What an edition has. */
  async function contents() {
    const address = folder().href;
    if (!known.has(address)) {
      const files = ["sections.json", "launch.json"].map((name) => load(new URL(name, address)));
      known.set(address, Promise.all(files));
    }
    const [{ sections }, launch] = await known.get(address);
    return { sections, launch };
  }

  let entries = [];
  let launch = { pages: {} };
  let url = "";
  let wanted = state.get("id") ?? "";

  function list() {
    const words = q.value.toLowerCase().split(/\s+/).filter(Boolean);
    const hits = entries.filter((entry) => {
      const text = `${named(entry)} ${entry.id} ${entry.page}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
    const shown = hits.slice(0, SHOWN);
    wanted ||= entries[0]?.id ?? "";
    const kept = entries.find((entry) => entry.id === wanted);
    if (kept && !shown.includes(kept)) shown.unshift(kept);
    id.replaceChildren(...shown.map((entry) => new Option(named(entry), entry.id)));
    id.value = kept ? wanted : "";
    say.textContent = `${hits.length} found${hits.length > SHOWN ? `, the first ${SHOWN} shown` : ""}.`;
    show();
  }

  function show() {
    hub.closest("label").hidden = to.value !== "hub";
    const entry = entries.find((one) => one.id === id.value);
    url = "";
    try {
      if (!entries.length) throw new Error("What this edition has could not be read: try another.");
      if (!entry) throw new Error("This edition does not have it: choose something else.");
      const base = siteAddress(site.value) + (editions.length ? chosen().url : "");
      url = linkTo({ entry, to: to.value, site: base, hub: hub.value }, launch);
      box.querySelector(".linking-wrong").textContent = "";
    } catch (error) {
      box.querySelector(".linking-wrong").textContent = error.message;
    }
    result.value = url;
    if (url) Object.assign(open, { href: url, target: "_blank", rel: "noopener" });
    else open.removeAttribute("href");
    for (const button of box.querySelectorAll("[data-copy]")) button.disabled = !url;
    const given = { id: wanted, to: to.value };
    if (editions.length) given.edition = edition.value;
    if (site.value !== whole.href) given.site = site.value;
    if (to.value === "hub" && hub.value) given.hub = hub.value;
    history.replaceState(null, "", `?${new URLSearchParams(given)}${location.hash}`);
  }

  async function change() {
    try {
      ({ sections: entries, launch } = await contents());
    } catch (error) {
      if (!editions.length) throw error;
      known.delete(folder().href);
      [entries, launch] = [[], { pages: {} }];
    }
    list();
  }

  to.value = [...to.options].some((one) => one.value === state.get("to")) ? state.get("to") : "read";
  site.value = state.get("site") ?? whole.href;
  hub.value = state.get("hub") ?? keptHub() ?? "";
  q.addEventListener("input", list);
  edition.addEventListener("input", change);
  id.addEventListener("input", () => (wanted = id.value));
  for (const field of [id, to, site, hub]) field.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  box.addEventListener("click", async (event) => {
    const form = event.target.dataset?.copy;
    if (!form) return;
    const entry = entries.find((one) => one.id === id.value);
    const text = FORMS[form](url, named(entry));
    try {
      await navigator.clipboard.writeText(text);
      say.textContent = "Copied.";
    } catch {
      result.value = text;
      result.select();
      say.textContent = "Copy what is marked: this browser leaves it to you.";
    }
  });
  await change();
}

const box = document.querySelector(".linking");
if (box) {
  box.dataset.state = "begun";
  if (!box.hidden) start(box).catch(() => box.dispatchEvent(new Event("failed")));
}
