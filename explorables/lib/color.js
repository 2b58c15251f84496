/** Viridis, for what has a height. */

// A polynomial of degree six through viridis, by M. Zucker (CC0).
const VIRIDIS = [
  [0.2777, 0.0054, 0.3341],
  [0.1051, 1.4046, 1.3846],
  [-0.3309, 0.2148, 0.0951],
  [-4.6342, -5.7991, -19.3324],
  [6.2283, 14.1799, 56.6906],
  [4.7764, -13.7451, -65.3530],
  [-5.4355, 4.6459, 26.3124],
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
