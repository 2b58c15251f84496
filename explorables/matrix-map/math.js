/** Matrices of two rows [a, b], [c, d]. @typedef {[number, number, number, number]} Matrix */

/** @param {Matrix} m @returns {number} */
export const determinant = ([a, b, c, d]) => a * d - b * c;

/** @param {Matrix} m @param {number[]} x @returns {[number, number]} */
export const apply = ([a, b, c, d], [x, y]) => [a * x + b * y, c * x + d * y];

/** @param {Matrix} m @returns {[number, number]} the larger one first */
export function singularValues([a, b, c, d]) {
  // Half the lengths of the rotation-like and the reflection-like part.
  const turn = Math.hypot(a + d, c - b) / 2;
  const flip = Math.hypot(a - d, b + c) / 2;
  return [turn + flip, Math.abs(turn - flip)];
}

/**
 * The direction that is stretched most, and the one across it; and where each goes.
 * @param {Matrix} m @returns {{v: [number, number][], u: [number, number][]}} u is not normalised
 */
export function axesOf(m) {
  const [a, b, c, d] = m;
  // The angle that makes |M v| largest.
  const angle = Math.atan2(2 * (a * b + c * d), a * a + c * c - b * b - d * d) / 2;
  const v = [
    [Math.cos(angle), Math.sin(angle)],
    [-Math.sin(angle), Math.cos(angle)],
  ];
  return { v, u: v.map((x) => apply(m, x)) };
}

/**
 * Eigenvalues, and unit eigenvectors where they are real.
 * @param {Matrix} m
 * @returns {{real: boolean, values: [number, number], vectors: [number, number][]}} real: the two
 *   values, larger first; else real and imaginary part of the pair
 */
export function eigen(m) {
  const [a, b, c, d] = m;
  const half = (a + d) / 2;
  const inner = ((a - d) / 2) ** 2 + b * c;
  if (inner < 0) return { real: false, values: [half, Math.sqrt(-inner)], vectors: [] };
  const values = [half + Math.sqrt(inner), half - Math.sqrt(inner)];
  const vectors = values.map((value, k) => {
    // The longer row of M − λ; the eigenvector is perpendicular to it.
    const rows = [
      [a - value, b],
      [c, d - value],
    ];
    const [x, y] = Math.hypot(...rows[0]) >= Math.hypot(...rows[1]) ? rows[0] : rows[1];
    const length = Math.hypot(x, y);
    if (length < 1e-12) return k ? [0, 1] : [1, 0];
    return [-y / length, x / length];
  });
  return { real: true, values, vectors };
}
