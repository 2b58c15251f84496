/**
 * A surface over a plane: heights, perspective, and at which losses lines are drawn.
 *
 * @typedef {{
 *   key: string, name: string, axes: [string, string],
 *   alphas: number[], betas: number[], losses: number[][], path: [number, number, number][],
 * }} Surface `losses[i][j]` belongs to `alphas[i]`, `betas[j]`; a point of the path is α, β, loss
 */

/**
 * The map from losses to heights from 0 to 1.
 * @param {number[][]} losses @param {boolean} log
 * @returns {{low: number, high: number, at: (loss: number) => number, back: (h: number) => number}}
 */
export function heights(losses, log) {
  let [low, high] = [Infinity, -Infinity];
  for (const row of losses) {
    for (const loss of row) {
      low = Math.min(low, loss);
      high = Math.max(high, loss);
    }
  }
  const f = log ? Math.log : (x) => x;
  const inverse = log ? Math.exp : (x) => x;
  const span = f(high) - f(low) || 1;
  return {
    low,
    high,
    at: (loss) => (f(loss) - f(low)) / span,
    back: (height) => inverse(f(low) + height * span),
  };
}

/** Index of the cell of an increasing grid that holds a value, the nearest one outside. */
export function cell(grid, value) {
  let [low, high] = [0, grid.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (grid[middle] <= value) low = middle;
    else high = middle;
  }
  return low;
}

/**
 * The surface between its grid points, bilinear in each cell; outside the nearest value.
 * @param {number[]} alphas @param {number[]} betas @param {number[][]} values
 * @param {number} a @param {number} b @returns {number}
 */
export function bilinear(alphas, betas, values, a, b) {
  const [i, j] = [cell(alphas, a), cell(betas, b)];
  const share = (grid, k, value) =>
    Math.min(Math.max((value - grid[k]) / (grid[k + 1] - grid[k]), 0), 1);
  const [s, t] = [share(alphas, i, a), share(betas, j, b)];
  return (
    (1 - s) * ((1 - t) * values[i][j] + t * values[i][j + 1]) +
    s * ((1 - t) * values[i + 1][j] + t * values[i + 1][j + 1])
  );
}

/**
 * A camera that looks at the origin.
 * @param {number} turn degrees about the vertical @param {number} tilt degrees down
 * @param {number} distance from the origin
 * @returns {{project: (x: number, y: number, z: number) => [number, number, number]}} `project`
 *   gives right and up on the screen, and how near a point is
 */
export function camera(turn, tilt, distance) {
  const [a, e] = [(turn * Math.PI) / 180, (tilt * Math.PI) / 180];
  const [ca, sa, ce, se] = [Math.cos(a), Math.sin(a), Math.cos(e), Math.sin(e)];
  return {
    project(x, y, z) {
      const across = x * ca - y * sa;
      const away = x * sa + y * ca;
      const near = z * se - away * ce;
      const scale = distance / (distance - near);
      return [across * scale, (z * ce + away * se) * scale, near];
    },
  };
}

/**
 * Losses at which contour lines are drawn and ticks set: 1, 2, 5 times powers of ten where heights
 * are logarithmic (and some between where they span little), even steps otherwise.
 * @param {number} low @param {number} high @param {boolean} log @returns {number[]}
 */
export function levels(low, high, log) {
  const found = [];
  if (log) {
    const factors = high / low > 100 ? [1, 2, 5] : [1, 1.5, 2, 3, 5, 7];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
      for (const factor of factors) {
        const level = +(factor * 10 ** power).toPrecision(3);
        if (level > low && level < high) found.push(level);
      }
    }
    return found;
  }
  const raw = (high - low) / 9;
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = unit * [1, 2, 5, 10].find((factor) => factor * unit >= raw);
  for (let k = Math.ceil(low / step); k * step < high; k++) found.push(+(k * step).toPrecision(6));
  return found;
}
