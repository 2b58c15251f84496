/**
 * Gradient descent with momentum on ½ (μ x₁² + L x₂²) with L = 1, μ = 1/κ.
 *
 * Each eigenvalue λ has a block of its own, with the characteristic polynomial r² − b r + c.
 */

/** @typedef {"ball" | "nesterov"} Method */

/** Coefficients b, c of a block's polynomial. */
export function block(method, step, beta) {
  return method === "ball"
    ? [1 + beta - step, beta]
    : [(1 + beta) * (1 - step), beta * (1 - step)];
}

/**
 * The larger size of the two roots.
 * @param {Method} method @param {number} step αλ @param {number} beta @returns {number}
 */
export function radius(method, step, beta) {
  const [b, c] = block(method, step, beta);
  const inner = b * b - 4 * c;
  return inner < 0 ? Math.sqrt(c) : (Math.abs(b) + Math.sqrt(inner)) / 2;
}

/** The step size αL beyond which it diverges. */
export const border = (method, beta) =>
  method === "ball" ? 2 * (1 + beta) : (2 * (1 + beta)) / (1 + 2 * beta);

/** The rate on the bowl: that of the worse end of the spectrum. */
export const rate = (method, kappa, alpha, beta) =>
  Math.max(radius(method, alpha / kappa, beta), radius(method, alpha, beta));

/**
 * What a direction does: "swings" (complex roots), "creeps" (real ones, the larger positive),
 * "jumps" (the larger one negative), or "diverges".
 */
export function regime(method, step, beta) {
  if (radius(method, step, beta) >= 1) return "diverges";
  const [b, c] = block(method, step, beta);
  if (b * b - 4 * c < 0) return "swings";
  return b < 0 ? "jumps" : "creeps";
}

/** Where the rate is best: αL and β. */
export function best(method, kappa) {
  if (method === "ball") {
    const root = Math.sqrt(kappa);
    return { alpha: 4 / (1 + 1 / root) ** 2, beta: ((root - 1) / (root + 1)) ** 2 };
  }
  const root = Math.sqrt(3 * kappa + 1);
  return { alpha: 4 / (3 + 1 / kappa), beta: (root - 2) / (root + 2) };
}

/**
 * Sizes of the two coordinates from (1, 1) on, at rest.
 * @param {Method} method @param {number} kappa @param {number} alpha @param {number} beta
 * @param {number} steps @returns {[number, number][]}
 */
export function path(method, kappa, alpha, beta, steps) {
  let [before, now] = [[1, 1], [1, 1]];
  const points = [now];
  for (let k = 0; k < steps; k++) {
    const next = [1 / kappa, 1].map((curvature, i) => {
      const moved = now[i] + beta * (now[i] - before[i]);
      const at = method === "ball" ? now[i] : moved;
      return moved - alpha * curvature * at;
    });
    [before, now] = [now, next];
    points.push(now);
  }
  return points;
}
