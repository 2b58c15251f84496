/** The beta distribution, and a coin's posterior. */

// Lanczos' approximation (g = 7, n = 9) of log Γ, to about 15 digits.
const LANCZOS = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313,
  -176.61502916214059, 12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6,
  1.5056327351493116e-7,
];

/** @param {number} x positive @returns {number} log Γ(x) */
export function logGamma(x) {
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x);
  const t = x + 6.5;
  let sum = LANCZOS[0];
  for (let k = 1; k < 9; k++) sum += LANCZOS[k] / (x - 1 + k);
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
}

const logBeta = (a, b) => logGamma(a) + logGamma(b) - logGamma(a + b);

/** @returns {(theta: number) => number} density of Beta(a, b) at θ in (0, 1) */
export function densityOf(a, b) {
  const size = logBeta(a, b);
  return (theta) => Math.exp((a - 1) * Math.log(theta) + (b - 1) * Math.log1p(-theta) - size);
}

export const density = (theta, a, b) => densityOf(a, b)(theta);

/** @returns {{a: number, b: number}} parameters after so many heads and tails */
export const posterior = ({ a, b }, heads, tails) => ({ a: a + heads, b: b + tails });

export const mean = ({ a, b }) => a / (a + b);
export const variance = ({ a, b }) => (a * b) / ((a + b) ** 2 * (a + b + 1));

/**
 * P(θ ≤ x): the incomplete beta function, by its continued fraction (Lentz).
 * @param {number} x @param {number} a @param {number} b @param {number} [size] log B(a, b)
 * @returns {number}
 */
export function cumulative(x, a, b, size = logBeta(a, b)) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - cumulative(1 - x, b, a, size);
  let [c, d] = [1, 1 / (1 - ((a + b) * x) / (a + 1))];
  let fraction = d;
  for (let k = 1; k < 500; k++) {
    const even = (k * (b - k) * x) / ((a + 2 * k - 1) * (a + 2 * k));
    const odd = (-(a + k) * (a + b + k) * x) / ((a + 2 * k) * (a + 2 * k + 1));
    d = 1 / (1 + even * d);
    c = 1 + even / c;
    fraction *= c * d;
    d = 1 / (1 + odd * d);
    c = 1 + odd / c;
    const factor = c * d;
    fraction *= factor;
    if (Math.abs(factor - 1) < 1e-15) break;
  }
  return (fraction * Math.exp(a * Math.log(x) + b * Math.log1p(-x) - size)) / a;
}

/** The θ below which a share of the probability lies, by bisection. */
export function quantile(share, a, b) {
  let [low, high] = [0, 1];
  const size = logBeta(a, b);
  for (let k = 0; k < 60; k++) {
    const middle = (low + high) / 2;
    if (cumulative(middle, a, b, size) < share) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
