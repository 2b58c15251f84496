/* What a cell that has run shows: text, figures, HTML, the badges of checks, errors. */

const CHECK = "application/vnd.mathdl.check+json";
const EXPLORABLE = "application/vnd.mathdl.explorable+json";
const SUPERSCRIPT = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** Makes an element with a class and a text. */
export function element(tag, name, text = "") {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.textContent = text;
  return made;
}

/** A number as the page's own badges write it: two digits, a power of ten. */
export function scientific(value) {
  if (value === 0) return "0";
  const [mantissa, power] = value.toExponential(1).split("e");
  if (Math.abs(power) <= 3) return String(Number(value.toPrecision(2)));
  const raised = String(Number(power)).replace(/\d/g, (d) => SUPERSCRIPT[d]).replace("-", "⁻");
  const short = mantissa.replace(/\.0$/, "");
  return short === "1" || short === "-1" ? `${short.slice(0, -1)}10${raised}` : `${short}\u00a0×\u00a010${raised}`;
}

const counted = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

/** The link from a badge to its claim, as a badge of the page has it. */
function claimLink(claim) {
  // Not the badges of a claim whose name only begins alike.
  const link = [...document.querySelectorAll(`[id^="check-${claim}-"]`)]
    .find(({ id }) => /^\d+$/.test(id.slice(`check-${claim}-`.length)))
    ?.querySelector(".check-line a");
  return link?.cloneNode(true) ?? element("span", "", claim);
}

/** The badge of a check, from its record. */
export function badge(record) {
  const box = element("div", `check-badge container ${record.passed ? "check-passed" : "check-failed"}`);
  const line = element("p", "check-line");
  line.append(element("span", "check-mark", record.passed ? "✓ checked" : "✗ failed"));
  if (record.claim) line.append(" ", claimLink(record.claim));
  const routes = record.routes.map(
    ({ name, skipped }) => name + (skipped ? ` (${skipped.toLocaleString("en")} skipped at kinks)` : ""),
  );
  const facts = [
    record.kind,
    `worst error ${scientific(record.worst_error)}`,
    `tolerance ${scientific(record.tolerance)}`,
    ...(routes.length ? [routes.join(", ")] : []),
    counted(record.points, "point"),
  ];
  line.append(" ", element("span", "check-facts", facts.join(" · ")));
  box.append(line);
  if (record.message) box.append(element("pre", "", record.message));
  return box;
}

const PIXELS = { pt: 4 / 3, px: 1, in: 96 };

/** A figure as an image, so that its style sheet follows the theme and touches nothing else. */
function image(source, type, alt) {
  const made = element("img", type === "image/svg+xml" ? "dark-light" : "");
  made.alt = alt;
  const bytes = type === "image/png" ? Uint8Array.from(atob(source), (c) => c.charCodeAt(0)) : source;
  made.src = URL.createObjectURL(new Blob([bytes], { type }));
  const size = /<svg\b[^>]*?\swidth="([\d.]+)(pt|px|in)"[^>]*?\sheight="([\d.]+)/.exec(source);
  if (type === "image/svg+xml" && size) {
    made.width = Math.round(size[1] * PIXELS[size[2]]);
    made.height = Math.round(size[3] * PIXELS[size[2]]);
  }
  return made;
}

/** The box below a cell. */
export class Output {
  /** @param {string[]} alternatives what the author says of the cell's figures, in their order */
  constructor(alternatives) {
    this.box = element("div", "live-output cell_output");
    this.alternatives = [...alternatives];
    this.last = null;
  }

  /** Adds what the cell prints. */
  stream(name, text) {
    if (this.last?.dataset.stream !== name) {
      this.last = element("pre", name === "stderr" ? "live-warning" : "");
      this.last.dataset.stream = name;
      this.box.append(this.last);
    }
    this.last.append(text);
  }

  /** Adds what the cell shows: the richest of the kinds that it comes in. */
  display(bundle) {
    this.last = null;
    if (bundle[EXPLORABLE]) return; // the page's own figure shows it
    const picture = ["image/svg+xml", "image/png"].find((type) => type in bundle);
    if (bundle[CHECK]) this.box.append(badge(bundle[CHECK]));
    else if (picture) {
      const alt = this.alternatives.shift() ?? bundle["text/plain"] ?? "A figure";
      this.box.append(image(bundle[picture], picture, alt));
    } else if (bundle["text/html"]) {
      const made = element("div", "output text_html");
      made.innerHTML = bundle["text/html"]; // of the reader's own code
      this.box.append(made);
    } else if (bundle["text/plain"]) this.box.append(element("pre", "", bundle["text/plain"]));
  }

  /** Adds an error. */
  error({ name, text, step }) {
    this.last = null;
    const made = element("pre", step ? "live-step" : "live-error", text);
    made.dataset.error = name;
    this.box.append(made);
  }

  /** Forgets the images. */
  remove() {
    for (const made of this.box.querySelectorAll("img")) URL.revokeObjectURL(made.src);
    this.box.remove();
  }
}
