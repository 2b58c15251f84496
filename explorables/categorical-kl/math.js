/** Entropies and divergences of distributions on a few outcomes, in nats. */

/** The distributions to choose from. */
export const DISTRIBUTIONS = {
  groups: [0.3, 0.17, 0.02, 0.02, 0.2, 0.29],
  fair: Array(6).fill(1 / 6),
  loaded: [0.1, 0.1, 0.1, 0.1, 0.1, 0.5],
  label: [0, 0, 1, 0, 0, 0],
  missing: [0.2, 0.2, 0.2, 0.2, 0.2, 0],
};

/** @param {number[]} weights @returns {number[]} the same, adding up to 1; fair if all are zero */
export function normalise(weights) {
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((w) => (sum > 0 ? w / sum : 1 / weights.length));
}

/** p log(p/q) of each outcome: 0 where p is 0, Infinity where only q is. */
export const terms = (p, q) =>
  p.map((a, k) => (a === 0 ? 0 : q[k] === 0 ? Infinity : a * Math.log(a / q[k])));

const sum = (values) => values.reduce((a, b) => a + b, 0);

/** D(p ‖ q). @param {number[]} p @param {number[]} q @returns {number} */
export const divergence = (p, q) => sum(terms(p, q));

/** H(p). */
export const entropy = (p) => -sum(p.map((a) => (a === 0 ? 0 : a * Math.log(a))));

/** H(p, q) = H(p) + D(p ‖ q). */
export const crossEntropy = (p, q) => entropy(p) + divergence(p, q);

/** The mean divergence of both from their mean: never above log 2. */
export function jensenShannon(p, q) {
  const middle = p.map((a, k) => (a + q[k]) / 2);
  return (divergence(p, middle) + divergence(q, middle)) / 2;
}
