// KaTeX's boxes, fewer of them, in the same places: a page of a thousand formulas has tens of
// thousands, and every one is sent, styled and laid out.
//
// - A sub- or superscript of plain text is raised inside its line, instead of standing in a table.
// - A space is the margin of what it follows.
// - A box that only says what kind of atom it holds gives way to its contents: the kinds have set
//   the spaces, and no rule of the style sheet asks for them.
// - What KaTeX moves by `position: relative` is moved by margins or `vertical-align`: to a browser
//   each positioned box is a layer to keep, to sort and to paint by itself.
// - A strut is left out where the line is as high without it.
// - What is said in thousands of places is said briefly, or by the style sheet.
"use strict";
const katex = require("./katex.min.js");

const { Span, SvgNode, SymbolNode } = katex.__domTree;
const KINDS = new Set([
  ...["mord", "mop", "mbin", "mrel", "mopen", "mclose", "mpunct", "minner", "mtight"],
]);
const FACES = new Set([
  ...["mathnormal", "mathit", "mathrm", "mathbf", "mathbb", "mathcal", "mathsf", "mathtt"],
  ...["boldsymbol", "text", "textrm", "mspace"],
]);
const RAISED = "mraised";
const SIZING = /^(katex-sizing|(reset-)?size\d+)$/;
// Font sizes of the classes size1 … size11, in em.
const SIZES = [0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.2, 1.44, 1.728, 2.074, 2.488];

// Classes of the spaces that TeX puts around signs, by their decimals: 3, 4 and 5 mu.
const SPACES = { 1667: "mu3", 2222: "mu4", 2778: "mu5" };

const classes = (node) => (node.classes ?? []).filter(Boolean);
const styles = (node) => Object.keys(node.style ?? {}).filter((key) => node.style[key]);
const bare = (node) => !styles(node).length && !Object.keys(node.attributes ?? {}).length;
const em = (value) => Number.parseFloat(value ?? "0");
const length = (value) => `${Number(value.toFixed(4))}em`;

// How far a line of KaTeX's fonts reaches above and below its letters at a line height of 1.2, in em.
const LINE = { above: 0.915, below: 0.285 };

/** The font size of a box, in that of its parent. */
function scale(node) {
  const size = (form) => SIZES[classes(node).map((name) => form.exec(name)?.[1]).find(Boolean) - 1];
  const [from, to] = [size(/^reset-size(\d+)$/), size(/^size(\d+)$/)];
  return from && to ? to / from : 1;
}

/** Whether a box holds nothing but text, no larger than its line's. */
function isText(node) {
  if (!(node instanceof Span || node instanceof SymbolNode)) return false;
  const raised = classes(node).includes(RAISED);
  const known = (name) =>
    KINDS.has(name) || FACES.has(name) || (raised && (name === RAISED || SIZING.test(name)));
  const allowed = (key) => key.startsWith("margin") || (raised && key === "verticalAlign");
  const moved = !styles(node).every(allowed);
  return classes(node).every(known) && !moved && (node.children ?? []).every(isText);
}

/** A box of which only the contents matter. */
const isWrapper = (node) =>
  node instanceof Span && bare(node) && classes(node).every((name) => KINDS.has(name));

/** A box in which text flows, so that no rule of the style sheet speaks of its children. */
const isLine = (node) =>
  classes(node).length > 0 &&
  classes(node).every(
    (name) => KINDS.has(name) || FACES.has(name) || SIZING.test(name) || name === "katex-base",
  );

/** Put a space into the margin of the box before it; tell whether that can be. */
function widen(node, space) {
  if (!(node instanceof Span || node instanceof SymbolNode)) return false;
  if (classes(node).includes("vlist-t")) return false; // has a margin of its own
  const margin = em(node.style.marginRight) + em(space.style.marginRight) / scale(node);
  node.style.marginRight = length(margin + (node instanceof SymbolNode ? node.italic : 0));
  if (node instanceof SymbolNode) node.italic = 0; // which KaTeX writes as a margin, too
  return true;
}

const isSpace = (node) =>
  node instanceof Span &&
  classes(node).join() === "mspace" &&
  !node.children.length &&
  styles(node).join() === "marginRight";

/** The children of a line, without wrappers and spaces. */
function flowing(children) {
  const made = [];
  for (const child of children.flatMap((one) => (isWrapper(one) ? one.children : [one]))) {
    if (isSpace(child) && made.length && widen(made.at(-1), child)) continue;
    made.push(child);
  }
  for (const child of made) {
    if (!(child instanceof SymbolNode)) continue;
    child.classes = classes(child).filter((name) => !KINDS.has(name));
  }
  return made;
}

/** Raise (or lower) what a table of one row holds. */
function raise(node) {
  const [table] = node.children;
  if (node.children.length !== 1 || !classes(table).includes("vlist-t") || !bare(node)) return;
  const rows = table.children[0].children[0].children;
  if (rows.length !== 1) return;
  const [row] = rows;
  const [support, content] = row.children;
  if (row.children.length !== 2 || styles(row).some((key) => !key.startsWith("margin"))) return;
  const size = scale(content);
  const sized = classes(content).includes("katex-sizing") && bare(content);
  if (size > 1 || !(sized ? content.children.every(isText) : size === 1 && isText(content))) return;
  const { marginTop, marginLeft, marginRight } = row.style;
  node.classes = [RAISED, ...(sized ? classes(content).filter((name) => SIZING.test(name)) : [])];
  node.children = flowing(sized ? content.children : [content]);
  node.style.verticalAlign = length(-(em(marginTop) + em(support.style.height)) / size);
  if (em(marginLeft)) node.style.marginLeft = length(em(marginLeft) / size);
  if (em(marginRight)) node.style.marginRight = length(em(marginRight) / size);
}

/** Move a box as far as `top` says, if it can be done without that. */
function place(node) {
  const { position, top, ...style } = node.style;
  const simple = (node.children ?? []).every(isText);
  if (!em(top)) node.style = style;
  else if (!simple) node.style.position = "relative";
  else {
    node.style = { ...style, verticalAlign: length(-em(top)) };
    node.classes.push(RAISED);
  }
  node.classes = classes(node).filter((name) => name !== "delimcenter");
}

/** Whether a strut makes no line higher. */
const isIdle = (node) => {
  if (classes(node).join() !== "katex-strut") return false;
  const lift = em(node.style.verticalAlign);
  return em(node.style.height) + lift <= LINE.above && -lift <= LINE.below;
};

/** What a cell of an array holds, which is no box of its own, instead of the cell. */
const opened = (node) => ("attributes" in node || !node.children ? [node] : node.children);

/** Take away from a box and all in it what moves nothing. */
function slim(node) {
  if (node instanceof SymbolNode && classes(node).includes("op-symbol")) place(node);
  if (!(node instanceof Span)) return;
  node.children = node.children.flatMap(opened).filter((child) => !isIdle(child));
  node.children.forEach(slim);
  if (isLine(node)) node.children = flowing(node.children);
  const kinds = classes(node);
  if (kinds.join() === "msupsub") raise(node);
  else if (kinds.includes("op-symbol") || kinds.includes("delimcenter")) place(node);
  else if (kinds.join() === "vlist") stack(node.children);
}

/** Whether a box is what a drawing in it is as wide as. */
const isDrawing = (node) =>
  node instanceof SvgNode || (classes(node).join() !== "vlist" && (node.children ?? []).some(isDrawing));

/** Place the rows of a table, of no height, by the margins between them. */
function stack(rows) {
  let at = 0;
  for (const row of rows) {
    const { top, ...style } = row.style;
    const margins = { ...style, marginTop: length(em(top) - at) };
    if (row === rows.at(-1)) margins.marginBottom = length(-em(top));
    row.style = Object.fromEntries(Object.entries(margins).filter(([, value]) => em(value)));
    if (isDrawing(row)) row.style.position = "relative";
    at = em(top);
  }
}

// How many numbers follow each letter of an SVG path.
const NUMBERS = { M: 2, L: 2, H: 1, V: 1, C: 6, S: 4, Q: 4, T: 2, Z: 0 };

/** A path in whole numbers, of which the drawings have a thousand an em. */
function rounded(path) {
  const words = path.match(/[a-z]|-?(?:\d*\.\d+|\d+)/gi);
  let [exact, sent] = [[0, 0], [0, 0]];
  let start = exact;
  let kind;
  let made = "";
  while (words.length) {
    if (/[a-z]/i.test(words[0])) kind = words.shift();
    const name = kind.toUpperCase();
    const axis = (place) => (name === "V" ? 1 : place % 2);
    const beside = (from) => (place) => (kind === name ? 0 : from[axis(place)]);
    const [offset, before] = [beside(exact), beside(sent)];
    const points = words.splice(0, NUMBERS[name]).map((word, place) => Number(word) + offset(place));
    const numbers = points.map((point, place) => Math.round(point) - before(place));
    made += kind + numbers.join(" ").replaceAll(" -", "-");
    exact = [...exact];
    points.forEach((point, place) => (exact[axis(place)] = point));
    if (name === "Z") exact = start;
    if (name === "M") [start, kind] = [exact, kind === name ? "L" : "l"];
    sent = exact.map(Math.round);
  }
  return made;
}

const SAID_BRIEFLY = [
  // Heights to a fiftieth of a pixel; what stands beside each other would add up.
  [/(?<=(?:height|align|top|bottom):-?)\d+\.\d{4}(?=em)/g, (value) => Number((+value).toFixed(3))],
  [/(style="[^"]*);"/g, '$1"'],
  [/ style="margin-right:0\.(1667|2222|2778)em"/g, (_, value) => ` class="${SPACES[value]}"`],
  [/<span class="([^"]*)" class="(mu\d)"/g, '<span class="$1 $2"'],
  [/(<span class="frac-line") style="border-bottom-width:0\.04em"/g, "$1"],
  [/(<span class="pstrut") style="height:3em"/g, "$1"],
  [/"mraised katex-sizing reset-size6 size3"/g, '"mscript"'],
  [/<span class="mathnormal( mu\d)?"([^>]*)>([^<]*)<\/span>/g, (_, space, style, letters) =>
    `<i${space ? ` class="${space.trim()}"` : ""}${style}>${letters}</i>`],
  [/(?<=[a-z]:-?)0(?=\.\d+em[;"])/g, ""],
  [/<svg xmlns="[^"]*"/g, "<svg"],
  [/(?<=<path d=")[^"]*/g, rounded],
];

/**
 * MathML without what a parser of HTML adds, and what no reader of it needs to be told: brackets
 * grow with what they hold only if they are called fences.
 */
const heard = (mathml) =>
  mathml
    .replace(/ xmlns="[^"]*"/, "")
    .replaceAll(' separator="true"', "")
    .replace(/<mo stretchy="false">(?=[()[\]{}⟨⟩⌊⌋⌈⌉!]<)/g, "<mo>"); // see paper/mathml.js

/**
 * Return the HTML of a formula as KaTeX draws it, with MathML and its source beside it.
 * @param {string} tex
 * @param {object} options of KaTeX
 */
exports.render = (tex, options) => {
  const tree = katex.__renderToDomTree(tex, options);
  const formula = options.displayMode ? tree.children[0] : tree;
  const drawn = formula.children.at(-1);
  slim(drawn);
  const [base, ...others] = drawn.children;
  const alone = !others.length && classes(base).join() === "katex-base" && bare(base);
  if (alone && !options.displayMode) {
    drawn.classes.push("katex-base");
    drawn.children = base.children;
  }
  // Browsers would break a line behind the last box, before a comma. Whether they may is said by
  // what is around a box.
  if (others.length && !options.displayMode) {
    const last = drawn.children.pop();
    drawn.children = [new Span(["breaks"], drawn.children), last];
  }
  const [mathml, html] = tree.toMarkup().split(/(?<=<\/math><\/span>)/);
  return heard(mathml) + SAID_BRIEFLY.reduce((said, [long, short]) => said.replace(long, short), html);
};
