// Formulas as MathML alone, as reading systems want them.
//
// KaTeX's MathML names alphabets by `mathvariant`, of which MathML Core, and with it Chromium, knows
// "normal" only: ℝ would be read and drawn as R. Here letters are the characters that they are.

const MATHML = "http://www.w3.org/1998/Math/MathML";

/** Where each alphabet begins: capitals, small letters, digits, Greek capitals, Greek small letters. */
const ALPHABETS = {
  bold: [0x1d400, 0x1d41a, 0x1d7ce, 0x1d6a8, 0x1d6c2],
  italic: [0x1d434, 0x1d44e, 0, 0x1d6e2, 0x1d6fc],
  "bold-italic": [0x1d468, 0x1d482, 0, 0x1d71c, 0x1d736],
  script: [0x1d49c, 0x1d4b6],
  "bold-script": [0x1d4d0, 0x1d4ea],
  fraktur: [0x1d504, 0x1d51e],
  "double-struck": [0x1d538, 0x1d552, 0x1d7d8],
  "sans-serif": [0x1d5a0, 0x1d5ba, 0x1d7e2],
  "bold-sans-serif": [0x1d5d4, 0x1d5ee, 0x1d7ec, 0x1d756, 0x1d770],
  "sans-serif-italic": [0x1d608, 0x1d622],
  monospace: [0x1d670, 0x1d68a, 0x1d7f6],
};
/** Letters that Unicode had before it had their alphabets. */
const OLDER = {
  italic: { h: "ℎ" },
  script: { B: "ℬ", E: "ℰ", F: "ℱ", H: "ℋ", I: "ℐ", L: "ℒ", M: "ℳ", R: "ℛ", e: "ℯ", g: "ℊ", o: "ℴ" },
  fraktur: { C: "ℭ", H: "ℌ", I: "ℑ", R: "ℜ", Z: "ℨ" },
  "double-struck": { C: "ℂ", H: "ℍ", N: "ℕ", P: "ℙ", Q: "ℚ", R: "ℝ", Z: "ℤ" },
};
/** The first letter of each row of an alphabet, and how many there are. */
const ROWS = [[0x41, 26], [0x61, 26], [0x30, 10], [0x391, 25], [0x3b1, 25]];
/** What follows the small Greek letters in an alphabet. */
const VARIANTS = "∂ϵϑϰϕϱϖ";

/** @param {string} letter @param {string} alphabet @returns {string | null} null if it is not in it */
export function inAlphabet(letter, alphabet) {
  const older = OLDER[alphabet]?.[letter];
  if (older) return older;
  const begins = ALPHABETS[alphabet];
  if (!begins) return null;
  const code = letter.codePointAt(0);
  for (const [row, [first, count]] of ROWS.entries()) {
    if (code >= first && code < first + count && begins[row]) return String.fromCodePoint(begins[row] + code - first);
  }
  if (letter === "∇" && begins[3]) return String.fromCodePoint(begins[3] + 25);
  const variant = VARIANTS.indexOf(letter);
  return variant >= 0 && begins[4] ? String.fromCodePoint(begins[4] + 25 + variant) : null;
}

/** @param {Element} math */
function withCharacters(math) {
  for (const token of math.querySelectorAll("[mathvariant]")) {
    const alphabet = token.getAttribute("mathvariant");
    if (alphabet === "normal") {
      // It says something of a single letter only, which would be italic without.
      if (token.localName !== "mi" || [...token.textContent].length !== 1) token.removeAttribute("mathvariant");
      continue;
    }
    const letters = [...token.textContent].map((letter) => inAlphabet(letter, alphabet) ?? letter);
    token.textContent = letters.join("");
    token.removeAttribute("mathvariant");
  }
}

/** @param {Element} element @returns {Element} the same, and all in it, as MathML */
function asMathml(element) {
  const other = document.createElementNS(MATHML, element.localName);
  for (const { name, value } of element.attributes) other.setAttribute(name, value);
  for (const kid of [...element.childNodes]) other.append(kid instanceof Element ? asMathml(kid) : kid);
  return other;
}

/** A function's name and the sign that applies it are one base of an index. @param {Element} math */
function withBases(math) {
  for (const applied of math.querySelectorAll(":is(msub, msup, msubsup, munder, mover, munderover, mfrac) > mo")) {
    const name = applied.previousElementSibling;
    if (applied.textContent !== "\u2061" || !name) continue;
    const row = document.createElementNS(MATHML, "mrow");
    name.before(row);
    row.append(name, applied);
  }
}

/**
 * KaTeX writes an operator made of others as a token that holds elements, and to a parser of HTML
 * what stands in a token is HTML.
 *
 * @param {Element} math
 */
function withRows(math) {
  for (const token of math.querySelectorAll(":is(mi, mn, mo, mtext):has(> *)")) {
    for (const kid of [...token.children]) kid.replaceWith(asMathml(kid));
  }
  for (const token of math.querySelectorAll(":is(mi, mn, mo, mtext):has(> *)")) {
    const row = document.createElementNS(MATHML, "mrow");
    row.append(...token.childNodes);
    token.replaceWith(row);
  }
}

/** Says of brackets that are no fences that they do not grow, as MathML has them do. @param {Element} math */
function withFixedBrackets(math) {
  for (const bracket of math.querySelectorAll("mo:not([fence], [stretchy])")) {
    if (/^[()[\]{}⟨⟩⌊⌋⌈⌉]$/.test(bracket.textContent)) bracket.setAttribute("stretchy", "false");
  }
}

/** Gives operators the room that TeX gives them. @param {Element} math */
function withSpaces(math) {
  for (const bar of math.querySelectorAll("mo:is([stretchy='false'], [fence='true'])")) {
    if (!"∥∣|".includes(bar.textContent)) continue; // beside it, a bar would be a relation
    bar.setAttribute("lspace", "0");
    bar.setAttribute("rspace", "0");
  }
  for (const applied of math.querySelectorAll("mo")) {
    if (applied.textContent !== "\u2061") continue; // what stands between sin and x
    const next = applied.nextElementSibling;
    if (next && !/^[([{⟨∣∥|]/.test(next.textContent)) applied.setAttribute("rspace", "0.1667em");
    const name = applied.previousElementSibling;
    const before = name?.previousElementSibling;
    const inRow = /^(math|mrow|mstyle|mtd|msqrt|mphantom|mpadded)$/.test(applied.parentElement.localName);
    if (!inRow || !before || /^(mo|mspace)$/.test(before.localName)) continue;
    const space = document.createElementNS(MATHML, "mspace");
    space.setAttribute("width", "0.1667em");
    name.before(space);
  }
}

/** Says in CSS how columns are set, which MathML Core does not read from attributes. @param {Element} math */
function withColumns(math) {
  for (const table of math.querySelectorAll("mtable")) {
    const sides = (table.getAttribute("columnalign") ?? "").split(" ");
    const gaps = (table.getAttribute("columnspacing") ?? "").split(" ");
    for (const name of ["columnalign", "columnspacing"]) {
      if (table.getAttribute(name)?.trim() === "") table.removeAttribute(name);
    }
    for (const row of table.children) {
      [...row.children].forEach((cell, place) => {
        const side = sides[Math.min(place, sides.length - 1)] || "center";
        const gap = gaps[Math.min(place, gaps.length - 1)] || "0.8em";
        cell.setAttribute("style", `text-align: ${side}; padding-left: 0; padding-right: ${gap}`);
      });
    }
  }
}

/** @param {Element} root Every formula below it becomes MathML with its TeX as text alternative. */
export function onlyMathml(root) {
  for (const formula of root.querySelectorAll(".katex")) {
    const math = formula.querySelector("math");
    const tex = math.querySelector("annotation").textContent;
    const semantics = math.querySelector("semantics");
    semantics.replaceWith(semantics.firstElementChild);
    withRows(math);
    withFixedBrackets(math);
    withBases(math);
    withCharacters(math);
    withSpaces(math);
    withColumns(math);
    math.setAttribute("alttext", tex.trim());
    const display = formula.closest(".katex-display");
    if (display) math.setAttribute("display", "block");
    (display ?? formula).replaceWith(math);
  }
  for (const math of root.querySelectorAll("math")) {
    if (math.namespaceURI !== MATHML) throw new Error("a formula that is no MathML");
  }
}
