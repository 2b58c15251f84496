/**
 * Colours: those of the page's theme, and viridis for fields.
 *
 * @typedef {Record<"ink" | "muted" | "rule" | "track" | "paper" | "surface" | "blue" | "vermillion"
 *   | "green" | "purple" | "orange" | "sky", string> & {font: string, dark: boolean}} Theme
 */

const NAMES = [
  "ink", "muted", "rule", "track", "paper", "surface",
  "blue", "vermillion", "green", "purple", "orange", "sky",
];

/** @param {Element} element @returns {Theme} the colours that the style sheet gives it now */
export function readTheme(element) {
  const style = getComputedStyle(element);
  const theme = { font: style.fontFamily, dark: style.colorScheme.includes("dark") };
  for (const name of NAMES) theme[name] = style.getPropertyValue(`--x-${name}`).trim();
  return theme;
}

// A polynomial of degree six through viridis, by M. Zucker (CC0).
const VIRIDIS = [
  [0.2777273272234177, 0.005407344544966578, 0.3340998053353061],
  [0.1050930431085774, 1.404613529898575, 1.384590162594685],
  [-0.3308618287255563, 0.214847559468213, 0.09509516302823659],
  [-4.634230498983486, -5.799100973351585, -19.33244095627987],
  [6.228269936347081, 14.17993336680509, 56.69055260068105],
  [4.776384997670288, -13.74514537774601, -65.35303263337234],
  [-5.435455855934631, 4.645852612178535, 26.3124352495832],
];

/**
 * Viridis, shaded.
 * @param {number} t from 0 to 1 @param {number} [light] factor of brightness
 * @returns {[number, number, number]} red, green, blue from 0 to 255
 */
export function viridis(t, light = 1) {
  const x = Math.min(Math.max(t, 0), 1);
  return [0, 1, 2].map((channel) => {
    let value = 0;
    for (let power = 6; power >= 0; power--) value = value * x + VIRIDIS[power][channel];
    return Math.round(255 * Math.min(Math.max(value * light, 0), 1));
  });
}

/** @param {number} t @param {number} [light] @returns {string} the same for a canvas */
export const viridisCss = (t, light) => `rgb(${viridis(t, light).join(" ")})`;
