/** A plan of step sizes from knots, and what a noisy bowl expects of it. */

export const STEPS = 200;
/** The bowl of the chapter: curvatures, variances of the gradient's noise, squares at the start. */
export const BOWL = { curvature: [0.02, 0.2, 1], noise: [0.05, 0.05, 0.05], begin: [1, 1, 1] };

/**
 * Rates at the steps 0, 1, …, straight between knots, level beyond the outer ones.
 * @param {[number, number][]} knots (step, rate), in order @param {number} [steps]
 * @returns {number[]}
 */
export function plan(knots, steps = STEPS) {
  return Array.from({ length: steps }, (_, t) => {
    const k = knots.findIndex(([at]) => at >= t);
    if (k === -1) return knots.at(-1)[1];
    if (k === 0) return knots[0][1];
    const [[t0, r0], [t1, r1]] = [knots[k - 1], knots[k]];
    return r0 + ((r1 - r0) * (t - t0)) / (t1 - t0);
  });
}

/**
 * Expected losses in each direction before each step and after the last:
 * m ← (1 − αλ)² m + α² σ², of which λ m / 2 is the loss.
 * @param {number[]} rates @param {typeof BOWL} [bowl] @returns {number[][]} (steps + 1) × directions
 */
export function losses(rates, { curvature, noise, begin } = BOWL) {
  let m = begin;
  const found = [m];
  for (const rate of rates) {
    m = m.map((square, i) => (1 - rate * curvature[i]) ** 2 * square + rate ** 2 * noise[i]);
    found.push(m);
  }
  return found.map((squares) => squares.map((square, i) => (curvature[i] * square) / 2));
}

/** Distance S = Σ α and drift Q = Σ α². */
export const sums = (rates) => ({
  S: rates.reduce((sum, rate) => sum + rate, 0),
  Q: rates.reduce((sum, rate) => sum + rate * rate, 0),
});
