/** Numbers as one writes them by hand. */

/** @param {number} n @returns {string} an exponent in superscript */
export const raised = (n) => String(n).replace(/./g, (sign) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[sign] ?? "⁻");

/** A true minus sign. */
const minus = (text) => text.replace("-", "−");

/**
 * A number with so many significant digits; large and small ones with a power of ten.
 * @param {number} x @param {number} [digits] @returns {string}
 */
export function fmt(x, digits = 3) {
  if (x === Infinity) return "∞";
  if (x === -Infinity) return "−∞";
  if (Number.isNaN(x)) return "undefined";
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (size >= 1e-3 && size < 1e5) {
    const places = Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
    return minus(x.toFixed(places));
  }
  const [mantissa, exponent] = x.toExponential(digits - 1).split("e");
  return `${minus(mantissa)}\u00a0×\u00a010${raised(Number(exponent))}`;
}

/** @param {number} x @param {number} places @returns {string} */
export const fixed = (x, places) => minus(x.toFixed(places));

/**
 * What stands beside a slider.
 * @param {number} value @param {DOMStringMap} options `places` or `digits`, `unit`
 * @returns {string}
 */
export function formatControl(value, { places, digits, unit = "" }) {
  const text = places === undefined ? fmt(value, Number(digits ?? 3)) : fixed(value, Number(places));
  return text + unit;
}
