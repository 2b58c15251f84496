// KaTeX's boxes, fewer of them, in the same places: a page of a thousand formulas has tens of
// thousands, and every one is sent, styled and laid out.
//
// - A sub- or superscript of plain text is raised inside its line, instead of standing in a table.
// - A space is the margin of what it follows.
// - A box that only says what kind of atom it holds gives way to its contents: the kinds have set
//   the spaces, and no rule of the style sheet asks for them.
"use strict";
const katex = require("./katex.min.js");

const { Span, SymbolNode } = katex.__domTree;
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

const classes = (node) => (node.classes ?? []).filter(Boolean);
const styles = (node) => Object.keys(node.style ?? {}).filter((key) => node.style[key]);
const bare = (node) => !styles(node).length && !Object.keys(node.attributes ?? {}).length;
const em = (value) => Number.parseFloat(value ?? "0");
const length = (value) => `${Number(value.toFixed(4))}em`;

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
  const moved = styles(node).some((key) => !key.startsWith("margin") && !(raised && key === "top"));
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
  const known = new Set(["top", "marginLeft", "marginRight"]);
  if (row.children.length !== 2 || styles(row).some((key) => !known.has(key))) return;
  const size = scale(content);
  const sized = classes(content).includes("katex-sizing") && bare(content);
  if (size > 1 || !(sized ? content.children.every(isText) : size === 1 && isText(content))) return;
  const { top, marginLeft, marginRight } = row.style;
  node.classes = [RAISED, ...(sized ? classes(content).filter((name) => SIZING.test(name)) : [])];
  node.children = flowing(sized ? content.children : [content]);
  node.style.top = length((em(top) + em(support.style.height)) / size);
  if (em(marginLeft)) node.style.marginLeft = length(em(marginLeft) / size);
  if (em(marginRight)) node.style.marginRight = length(em(marginRight) / size);
}

/** Take away from a box and all in it what moves nothing. */
function slim(node) {
  if (!(node instanceof Span)) return;
  node.children.forEach(slim);
  if (isLine(node)) node.children = flowing(node.children);
  if (classes(node).join() === "msupsub") raise(node);
}

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
  return tree.toMarkup();
};
