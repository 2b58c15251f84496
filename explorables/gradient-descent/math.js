/** Gradient descent on ½ (x₁² + κ x₂²): μ = 1, L = κ. */

/** @param {number[]} x @param {number} kappa @returns {number} */
export const bowl = ([x1, x2], kappa) => (x1 * x1 + kappa * x2 * x2) / 2;

/** @param {number[]} x @param {number} kappa @returns {number[]} */
export const bowlGradient = ([x1, x2], kappa) => [x1, kappa * x2];

/**
 * The points of gradient descent.
 * @param {number} kappa @param {number} share step size α times L
 * @param {number[]} start @param {number} steps @returns {number[][]} steps + 1 points
 */
export function path(kappa, share, start, steps) {
  const alpha = share / kappa;
  const points = [start];
  for (let k = 0; k < steps; k++) {
    const [x1, x2] = points[k];
    const [g1, g2] = bowlGradient(points[k], kappa);
    points.push([x1 - alpha * g1, x2 - alpha * g2]);
  }
  return points;
}

/** What one step multiplies x₁ and x₂ by. */
export const factors = (kappa, share) => [1 - share / kappa, 1 - share];

/** The rate: the larger factor, in size. */
export const rate = (kappa, share) => Math.max(...factors(kappa, share).map(Math.abs));

/** The step size, in units of 1/L, with the best rate: 2/(L + μ). */
export const bestShare = (kappa) => (2 * kappa) / (kappa + 1);

/**
 * Steps until the distance to the minimum is at most a share of what it was; Infinity if never.
 * @param {number} kappa @param {number} share @param {number[]} start @param {number} to
 */
export function stepsTo(kappa, share, start, to) {
  const [a, b] = factors(kappa, share);
  const goal = to * Math.hypot(...start);
  const distance = (k) => Math.hypot(start[0] * a ** k, start[1] * b ** k);
  let high = 1;
  while (distance(high) > goal) {
    high *= 2;
    if (high > 1e7) return Infinity;
  }
  // Both terms shrink from here on back: the distance is monotone where both factors are below 1.
  let low = 0;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (distance(middle) <= goal) high = middle;
    else low = middle;
  }
  return distance(0) <= goal ? 0 : high;
}
