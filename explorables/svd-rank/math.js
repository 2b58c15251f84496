/** A singular value decomposition by rotations, and what truncating it costs. */

export const SIDE = 64;

/** Numbers that look standard normal, the same on every machine. */
export function* normals(seed) {
  let state = seed >>> 0;
  const uniform = () => {
    // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
  };
  for (;;) yield Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}

/** The matrices to choose from, as rows. @param {string} name @returns {number[][]} */
export function matrix(name) {
  const at = (f) =>
    Array.from({ length: SIDE }, (_, i) =>
      Array.from({ length: SIDE }, (_, j) =>
        f((2 * j) / (SIDE - 1) - 1, (2 * i) / (SIDE - 1) - 1),
      ),
    );
  const random = normals(7);
  const draw = () => random.next().value;
  switch (name) {
    case "weights":
      return at(draw);
    case "planted": {
      const [left, right] = [0, 1].map(() =>
        Array.from({ length: 4 }, () => Array.from({ length: SIDE }, draw)),
      );
      return Array.from({ length: SIDE }, (_, i) =>
        Array.from({ length: SIDE }, (_, j) =>
          left.reduce((sum, u, k) => sum + u[i] * right[k][j], 0.5 * draw()),
        ),
      );
    }
    case "level":
      return at((x, y) => Number(Math.abs(y - 0.2) < 0.16));
    case "slanted":
      return at((x, y) => Number(Math.abs(y - 0.5 * x) < 0.16));
    default:
      return at(
        (x, y) =>
          0.5 * Math.cos(7 * Math.hypot(x - 0.4, y + 0.5)) +
          Number(Math.hypot(x + 0.4, y + 0.35) < 0.4) +
          0.8 * Number(Math.abs(y - 0.5 * x - 0.5) < 0.08),
      );
  }
}

/**
 * Singular values and vectors by one-sided Jacobi rotations: columns are turned in pairs until
 * all are perpendicular; their lengths are the singular values.
 * @param {number[][]} rows
 * @returns {{s: number[], u: number[][], v: number[][]}} u[k] and v[k] belong to s[k]
 */
export function svd(rows) {
  const work = svdBySweeps(rows);
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}

/** The same, with a pause after each sweep over all pairs. @param {number[][]} rows */
export function* svdBySweeps(rows) {
  const [m, n] = [rows.length, rows[0].length];
  const a = Array.from({ length: n }, (_, j) => Float64Array.from(rows, (row) => row[j]));
  const v = Array.from({ length: n }, (_, j) => {
    const unit = new Float64Array(n);
    unit[j] = 1;
    return unit;
  });
  const turn = (x, y, c, s) => {
    for (let i = 0; i < x.length; i++) {
      const [p, q] = [x[i], y[i]];
      x[i] = c * p - s * q;
      y[i] = s * p + c * q;
    }
  };
  const dot = (x, y) => {
    let sum = 0;
    for (let i = 0; i < m; i++) sum += x[i] * y[i];
    return sum;
  };
  const size = a.reduce((sum, column) => sum + dot(column, column), 0);
  for (let sweep = 0; sweep < 40; sweep++) {
    let turned = false;
    for (let p = 0; p < n - 1; p++) {
      for (let q = p + 1; q < n; q++) {
        const [alpha, beta, gamma] = [dot(a[p], a[p]), dot(a[q], a[q]), dot(a[p], a[q])];
        if (Math.abs(gamma) <= 1e-15 * Math.sqrt(alpha * beta) + 1e-30 * size) continue;
        turned = true;
        const zeta = (beta - alpha) / (2 * gamma);
        const t = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.hypot(1, zeta));
        const c = 1 / Math.hypot(1, t);
        turn(a[p], a[q], c, c * t);
        turn(v[p], v[q], c, c * t);
      }
    }
    if (!turned) break;
    yield;
  }
  const lengths = a.map((column) => Math.sqrt(dot(column, column)));
  const order = lengths.map((_, k) => k).sort((k, l) => lengths[l] - lengths[k]);
  return {
    s: order.map((k) => lengths[k]),
    u: order.map((k) => Array.from(a[k], (x) => (lengths[k] ? x / lengths[k] : 0))),
    v: order.map((k) => Array.from(v[k])),
  };
}

/**
 * The nearest matrix of a rank.
 * @param {{s: number[], u: number[][], v: number[][]}} svd @param {number} rank
 * @param {{sum: Float64Array, rank: number}} [from] one of another rank, which is changed
 * @returns {Float64Array} row after row
 */
export function truncate({ s, u, v }, rank, from) {
  const [m, n] = [u[0].length, v[0].length];
  const sum = from?.sum ?? new Float64Array(m * n);
  const [first, last, sign] = from?.rank > rank ? [rank, from.rank, -1] : [from?.rank ?? 0, rank, 1];
  for (let k = first; k < last; k++) {
    for (let i = 0; i < m; i++) {
      const factor = sign * s[k] * u[k][i];
      for (let j = 0; j < n; j++) sum[i * n + j] += factor * v[k][j];
    }
  }
  return sum;
}

/** Relative errors of the ranks 0, 1, …, in the Frobenius norm: √(Σ_{i>r} σᵢ² / Σ σᵢ²). */
export function errors(s) {
  const tails = [0];
  for (let k = s.length - 1; k >= 0; k--) tails.unshift(tails[0] + s[k] ** 2);
  return tails.map((tail) => Math.sqrt(tail / tails[0]));
}

/** The smallest rank whose error is at most so much. */
export const rankFor = (s, error) => errors(s).findIndex((e) => e <= error);
