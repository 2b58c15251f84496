/** Divergences between a Gaussian q and a density p: one Gaussian, or a mixture of two. */

const ROOT = Math.sqrt(2 * Math.PI);

/** The densities that can be chosen, as mixtures: shares, means, standard deviations. */
export const DENSITIES = {
  one: { share: [1], mean: [0], sd: [1] },
  two: { share: [0.6, 0.4], mean: [-2, 2], sd: [0.6, 0.5] },
};

/** @param {number} x @param {number} mean @param {number} sd @returns {number} log N(x; mean, sd²) */
export const logNormal = (x, mean, sd) => -(((x - mean) / sd) ** 2) / 2 - Math.log(sd * ROOT);

/** @param {number} x @param {"one" | "two"} name @returns {number} log p(x), without underflow */
export function logDensity(x, name) {
  const { share, mean, sd } = DENSITIES[name];
  const first = Math.log(share[0]) + logNormal(x, mean[0], sd[0]);
  if (share.length === 1) return first;
  const second = Math.log(share[1]) + logNormal(x, mean[1], sd[1]);
  return Math.max(first, second) + Math.log1p(Math.exp(-Math.abs(first - second)));
}

/** D(p ‖ q) for two Gaussians, in nats. */
export function gaussianKl(meanP, sdP, meanQ, sdQ) {
  const ratio = sdP / sdQ;
  return (ratio ** 2 + ((meanP - meanQ) / sdQ) ** 2 - 1) / 2 - Math.log(ratio);
}

/** Sum over even steps: for smooth integrands that vanish at both ends it converges at once. */
function integral(f, low, high, step) {
  const count = Math.ceil((high - low) / step);
  const h = (high - low) / count;
  let sum = 0;
  for (let k = 0; k <= count; k++) sum += f(low + k * h);
  return sum * h;
}

/** D(p ‖ q), in nats. */
export function forward(name, mu, sigma) {
  if (name === "one") return gaussianKl(0, 1, mu, sigma);
  return integral((x) => {
    const p = logDensity(x, name);
    return Math.exp(p) * (p - logNormal(x, mu, sigma));
  }, -9, 9, 0.06);
}

/** D(q ‖ p), in nats. */
export function reverse(name, mu, sigma) {
  if (name === "one") return gaussianKl(mu, sigma, 0, 1);
  const reach = 9 * sigma;
  return integral((x) => {
    const q = logNormal(x, mu, sigma);
    return Math.exp(q) * (q - logDensity(x, name));
  }, mu - reach, mu + reach, Math.min(sigma / 5, 0.05));
}

/** Mean and standard deviation of p: where the forward divergence is least. */
export function moments(name) {
  const { share, mean, sd } = DENSITIES[name];
  const total = (f) => share.reduce((sum, w, j) => sum + w * f(j), 0);
  const mu = total((j) => mean[j]);
  return [mu, Math.sqrt(total((j) => sd[j] ** 2 + mean[j] ** 2) - mu ** 2)];
}

/**
 * Descends the reverse divergence in (μ, log σ), with a backtracking line search.
 * @param {"one" | "two"} name @param {number} mu @param {number} sigma
 * @returns {[number, number]} the minimum that this start leads to
 */
export function descendReverse(name, mu, sigma) {
  const f = ([m, s]) => reverse(name, m, Math.exp(s));
  let at = [mu, Math.log(sigma)];
  let value = f(at);
  let rate = 0.5;
  for (let k = 0; k < 150; k++) {
    const h = 1e-5;
    const slope = [0, 1].map((i) => {
      const [up, down] = [1, -1].map((sign) => f(at.map((v, j) => v + (i === j ? sign * h : 0))));
      return (up - down) / (2 * h);
    });
    const square = slope[0] ** 2 + slope[1] ** 2;
    if (square < 1e-16) break;
    let next = at;
    for (let tries = 0; tries < 30; tries++) {
      next = at.map((v, i) => v - rate * slope[i]);
      if (f(next) <= value - 0.3 * rate * square) break;
      rate /= 2;
    }
    [at, value] = [next, f(next)];
    rate *= 1.7;
  }
  return [at[0], Math.exp(at[1])];
}
