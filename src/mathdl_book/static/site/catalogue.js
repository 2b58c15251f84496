// Search the catalogue, choose, and take a reading list along; the state is in the page's address.

import { named } from "./entries.js";

const box = document.querySelector(".choose");
const form = box.querySelector("form");
const body = box.querySelector("tbody");
const chosenList = box.querySelector(".choose-list");
const more = box.querySelector(".choose-more");
const root = new URL(box.dataset.root || "./", location.href);
const SHOWN = 50;
let all = []; // entries of sections.json
let title = "";
let chosen = new Map(); // entries by their id, in the order of choosing
let everything = false;

const address = (entry) => new URL(entry.url, root).href;

function make(tag, content, attributes = {}) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(content);
  return made;
}

// ---- filters ----

/** Fill a list of choices. */
function offer(name, values) {
  for (const [value, text] of values) {
    form.elements[name].append(make("option", text, { value }));
  }
}

function prepare() {
  const byPage = new Map();
  const known = new Map(all.map((entry) => [entry.id, entry]));
  for (const entry of all) {
    if (entry.kind === "page") byPage.set(entry.page, entry.objectives ?? []);
  }
  for (const entry of all) {
    entry.aims = byPage.get(entry.page) ?? [];
    entry.levels =
      entry.kind === "objective"
        ? [entry.level]
        : entry.aims.map((id) => known.get(id)?.level);
    entry.text = `${named(entry)} ${entry.id} ${entry.part}`.toLowerCase();
  }
  const same = (values) => [...new Set(values)].filter(Boolean).map((one) => [one, one]);
  offer("part", same(all.map((entry) => entry.part)));
  offer("kind", same(all.map((entry) => entry.kind)));
  const levels = ["remember", "understand", "apply", "analyze", "evaluate", "create"];
  const taught = new Set(all.map((entry) => entry.level));
  offer("level", same(levels.filter((level) => taught.has(level))));
  offer("difficulty", [1, 2, 3].map((stars) => [stars, "★".repeat(stars)]));
  const aims = all.filter((entry) => entry.kind === "objective");
  offer("objective", aims.map((entry) => [entry.id, entry.title]));
}

function found() {
  const wanted = Object.fromEntries(new FormData(form));
  const words = wanted.q.toLowerCase().split(/\s+/).filter(Boolean);
  return all.filter(
    (entry) =>
      words.every((word) => entry.text.includes(word)) &&
      (!wanted.part || entry.part === wanted.part) &&
      (!wanted.kind || entry.kind === wanted.kind) &&
      (!wanted.level || entry.levels.includes(wanted.level)) &&
      (!wanted.difficulty || entry.difficulty === Number(wanted.difficulty)) &&
      (!wanted.gpu ||
        (wanted.gpu === "none" ? entry.gpu !== "needed" : entry.gpu === wanted.gpu)) &&
      (!wanted.minutes ||
        (entry.minutes !== null && entry.minutes <= Number(wanted.minutes))) &&
      (!wanted.objective ||
        entry.id === wanted.objective ||
        (entry.kind !== "objective" && entry.aims.includes(wanted.objective))),
  );
}

function show() {
  const hits = found();
  box.querySelector(".choose-count").textContent = `${hits.length} of ${all.length}`;
  body.replaceChildren(
    ...hits.slice(0, everything ? hits.length : SHOWN).map((entry) => {
      const tick = make("input", "", { type: "checkbox", "aria-label": named(entry) });
      tick.checked = chosen.has(entry.id);
      tick.addEventListener("change", () => {
        if (tick.checked) chosen.set(entry.id, entry);
        else chosen.delete(entry.id);
        list();
      });
      const row = make("tr", make("td", tick));
      row.append(
        make("td", make("a", named(entry), { href: address(entry) })),
        make("td", entry.part),
        make("td", entry.minutes === null ? "" : `${entry.minutes} min`),
        make("td", "★".repeat(entry.difficulty ?? 0)),
      );
      return row;
    }),
  );
  more.hidden = everything || hits.length <= SHOWN;
  more.textContent = `Show all ${hits.length}`;
}

function list() {
  const entries = [...chosen.values()];
  chosenList.replaceChildren(
    ...entries.map((entry) => make("li", make("a", named(entry), { href: address(entry) }))),
  );
  const minutes = entries.reduce((sum, entry) => sum + (entry.minutes ?? 0), 0);
  box.querySelector(".choose-sum").textContent = entries.length
    ? `${entries.length} chosen, ${minutes} minutes where they are known`
    : "Nothing chosen yet.";
  for (const button of box.querySelectorAll(".choose-tools button")) {
    button.disabled = !entries.length;
  }
  remember();
}

// ---- state in the address ----

function remember() {
  const given = [...new FormData(form)].filter(([, value]) => value);
  const state = new URLSearchParams(given);
  if (chosen.size) state.set("chosen", [...chosen.keys()].join(","));
  const query = state.toString().replaceAll("%2C", ",");
  history.replaceState(null, "", (query ? `?${query}` : location.pathname) + location.hash);
}

function recall() {
  const state = new URLSearchParams(location.search);
  for (const control of form.elements) {
    if (state.has(control.name)) control.value = state.get(control.name);
  }
  const known = new Map(all.map((entry) => [entry.id, entry]));
  for (const id of (state.get("chosen") ?? "").split(",")) {
    if (known.has(id)) chosen.set(id, known.get(id));
  }
}

// ---- what is taken along ----

const escaped = (text) =>
  text.replace(/[&<>"]/g, (one) => `&#${one.charCodeAt(0)};`);
const quoted = (value) => `"${String(value ?? "").replaceAll('"', '""')}"`;

const formats = {
  md: (entries) =>
    `${entries
      .map((entry) => `- [${named(entry).replace(/[\\[\]]/g, "\\$&")}](${address(entry)})`)
      .join("\n")}\n`,
  html: (entries) =>
    `<ul>\n${entries
      .map((e) => `<li><a href="${escaped(address(e))}">${escaped(named(e))}</a></li>`)
      .join("\n")}\n</ul>\n`,
  csv: (entries) => {
    const columns = ["id", "kind", "number", "title", "part", "minutes", "difficulty", "gpu"];
    const rows = entries.map((entry) =>
      [...columns.map((name) => entry[name]), address(entry)].map(quoted).join(","),
    );
    return `${[...columns, "address"].join(",")}\n${rows.join("\n")}\n`;
  },
  imscc: (entries) => zip(cartridge(entries)),
};
const TYPES = {
  md: "text/markdown",
  html: "text/html",
  csv: "text/csv",
  imscc: "application/zip",
};

/** The files of a Common Cartridge 1.3 of web links, with a module for each part. */
function cartridge(entries) {
  const modules = new Map();
  for (const entry of entries) {
    const part = entry.part || title;
    modules.set(part, [...(modules.get(part) ?? []), entry]);
  }
  const HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n';
  const NS = "http://www.imsglobal.org/xsd/imsccv1p3";
  const LOM = "http://ltsc.ieee.org/xsd/imsccv1p3/LOM/manifest";
  const items = [...modules].map(([part, members], number) => {
    const lines = members.map(
      (entry) =>
        `<item identifier="item-${entry.id}" identifierref="link-${entry.id}">` +
        `<title>${escaped(named(entry))}</title></item>`,
    );
    return (
      `<item identifier="module-${number + 1}"><title>${escaped(part)}</title>\n` +
      `${lines.join("\n")}\n</item>`
    );
  });
  const ordered = [...modules.values()].flat();
  const resources = ordered.map(
    (entry) =>
      `<resource identifier="link-${entry.id}" type="imswl_xmlv1p3">` +
      `<file href="links/${entry.id}.xml"/></resource>`,
  );
  const manifest =
    `${HEAD}<manifest identifier="mathdl" xmlns="${NS}/imscp_v1p1" xmlns:lomimscc="${LOM}">\n` +
    "<metadata><schema>IMS Common Cartridge</schema>" +
    "<schemaversion>1.3.0</schemaversion>\n" +
    "<lomimscc:lom><lomimscc:general><lomimscc:title>" +
    `<lomimscc:string language="en">${escaped(title)}</lomimscc:string>` +
    "</lomimscc:title></lomimscc:general></lomimscc:lom>\n</metadata>\n" +
    '<organizations><organization identifier="course" structure="rooted-hierarchy">' +
    `<item identifier="root">\n${items.join("\n")}\n</item></organization></organizations>\n` +
    `<resources>\n${resources.join("\n")}\n</resources>\n</manifest>\n`;
  const links = ordered.map((entry) => [
    `links/${entry.id}.xml`,
    `${HEAD}<webLink xmlns="${NS}/imswl_v1p3"><title>${escaped(named(entry))}</title>` +
      `<url href="${escaped(address(entry))}" target="_blank"/></webLink>\n`,
  ]);
  return [["imsmanifest.xml", manifest], ...links];
}

const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? 0xedb88320 ^ (rest >>> 1) : rest >>> 1;
  return rest;
});

/** A zip file of texts, not compressed: they are small. */
function zip(files) {
  const coder = new TextEncoder();
  const local = [];
  const central = [];
  let offset = 0;
  for (const [name, text] of files) {
    const path = coder.encode(name);
    const data = coder.encode(text);
    let crc = ~0;
    for (const byte of data) crc = CRC[(crc ^ byte) & 255] ^ (crc >>> 8);
    // Version 2.0, names in UTF-8, stored, 1 January 1980; then checksum and sizes.
    const common = new DataView(new ArrayBuffer(26));
    common.setUint16(0, 20, true);
    common.setUint16(2, 0x0800, true);
    common.setUint16(8, 0x21, true);
    common.setUint32(10, ~crc >>> 0, true);
    common.setUint32(14, data.length, true);
    common.setUint32(18, data.length, true);
    common.setUint16(22, path.length, true);
    local.push(Uint8Array.of(0x50, 0x4b, 3, 4), common, path, data);
    const rest = new DataView(new ArrayBuffer(14));
    rest.setUint32(10, offset, true);
    central.push(Uint8Array.of(0x50, 0x4b, 1, 2, 20, 0), common, rest, path);
    offset += 30 + path.length + data.length;
  }
  const size = central.reduce((sum, part) => sum + part.byteLength, 0);
  const end = new DataView(new ArrayBuffer(22));
  end.setUint32(0, 0x06054b50, true);
  end.setUint16(8, files.length, true);
  end.setUint16(10, files.length, true);
  end.setUint32(12, size, true);
  end.setUint32(16, offset, true);
  return new Blob([...local, ...central, end]);
}

function save(kind) {
  const content = formats[kind]([...chosen.values()]);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type: TYPES[kind] }));
  link.download = `reading-list.${kind}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// ---- start ----

form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", () => {
  everything = false;
  show();
  remember();
});
more.addEventListener("click", () => {
  everything = true;
  show();
});
box.querySelector(".choose-tools").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.save) return save(button.dataset.save);
  chosen = new Map();
  show();
  list();
});

async function start() {
  const answer = await fetch(new URL("sections.json", root));
  if (!answer.ok) throw new Error(`sections.json: ${answer.status}`);
  ({ title, sections: all } = await answer.json());
  prepare();
  recall();
  show();
  list();
  box.dataset.state = "ready";
}
box.dataset.state = "begun";
if (!box.hidden) start().catch(() => box.dispatchEvent(new Event("failed")));
