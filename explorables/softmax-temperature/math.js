/** Softmax with a temperature, its entropy, and the slope of that. */

/** @param {number[]} z @param {number} T @returns {number[]} */
export function softmax(z, T) {
  const most = Math.max(...z);
  const parts = z.map((value) => Math.exp((value - most) / T));
  const sum = parts.reduce((a, b) => a + b, 0);
  return parts.map((part) => part / sum);
}

/** In nats; 0 log 0 is 0. @param {number[]} p @returns {number} */
export const entropy = (p) => -p.reduce((sum, q) => (q > 0 ? sum + q * Math.log(q) : sum), 0);

/** dH/dT = Var(z)/T³, the variance of the logit of a drawn outcome. */
export function entropySlope(z, T) {
  const q = softmax(z, T);
  const mean = q.reduce((sum, share, k) => sum + share * z[k], 0);
  return q.reduce((sum, share, k) => sum + share * (z[k] - mean) ** 2, 0) / T ** 3;
}
