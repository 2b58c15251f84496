/** Surfaces in the plane, five optimizers with PyTorch’s defaults, and the rules of the race. */

const HALF = Math.SQRT1_2;

/** Where a walk is, its gradient and its memory: arrays made anew would be most of the work. */
const [place, slope, memory] = [2, 2, 4].map((size) => new Float64Array(size));
function put(dx, dy) {
  slope[0] = dx;
  slope[1] = dy;
}
const ravine = (x, y) => (x * x + 100 * y * y) / 2;

/**
 * @type {Record<string, {f: (x: number, y: number) => number,
 *   gradient: (at: ArrayLike<number>) => void, window: [number, number, number, number],
 *   goal: [number, number]}>} gradients are put into `slope`
 */
export const SURFACES = {
  rosenbrock: {
    f: (x, y) => (1 - x) ** 2 + 100 * (y - x * x) ** 2,
    gradient({ 0: x, 1: y }) {
      const valley = y - x * x;
      put(-2 * (1 - x) - 400 * x * valley, 200 * valley);
    },
    window: [-1.8, 1.8, -0.8, 1.8], goal: [1, 1],
  },
  beale: {
    f: (x, y) =>
      (1.5 - x * (1 - y)) ** 2 + (2.25 - x * (1 - y * y)) ** 2 + (2.625 - x * (1 - y * y * y)) ** 2,
    gradient({ 0: x, 1: y }) {
      const [a, b, c] = [1 - y, 1 - y * y, 1 - y * y * y];
      const [r, s, t] = [1.5 - x * a, 2.25 - x * b, 2.625 - x * c];
      put(-2 * (r * a + s * b + t * c), 2 * x * (r + 2 * s * y + 3 * t * y * y));
    },
    window: [-0.5, 4, -1.6, 1.6], goal: [3, 0.5],
  },
  ravine: {
    f: ravine,
    gradient: ({ 0: x, 1: y }) => put(x, 100 * y),
    window: [-2.2, 2.2, -1.6, 1.6], goal: [0, 0],
  },
  tilted: {
    f: (x, y) => ravine(HALF * (x + y), HALF * (y - x)),
    gradient({ 0: x, 1: y }) {
      const [along, across] = [HALF * (x + y), 100 * HALF * (y - x)];
      put(HALF * (along - across), HALF * (along + across));
    },
    window: [-2.2, 2.2, -1.6, 1.6], goal: [0, 0],
  },
  saddle: {
    f: (x, y) => (x * x - y * y) / 2,
    gradient: ({ 0: x, 1: y }) => put(x, -y),
    window: [-1.6, 1.6, -1.4, 1.4], goal: [0, 0],
  },
};

/** @param {string} surface @param {number[]} x @returns {number} */
export const value = (surface, x) => SURFACES[surface].f(x[0], x[1]);
/** @param {string} surface @param {number[]} x @returns {number[]} */
export function gradient(surface, x) {
  SURFACES[surface].gradient(x);
  return [...slope];
}

/** 1 − βᵗ for Adam: powers take time. */
const [FIRST, SECOND] = [0.9, 0.999].map((beta) =>
  Float64Array.from({ length: 1001 }, (_, t) => 1 - beta ** t),
);

/**
 * What one step of each, up to the thousandth, does to a point; `s` is its memory: momenta, then
 * mean squares. Numbers stay in arrays, where none has to be made anew.
 * @type {Record<string, (x: Float64Array, g: Float64Array, lr: number, s: Float64Array, t: number)
 *   => void>}
 */
const RULES = {
  descent(x, g, lr) {
    for (let i = 0; i < 2; i++) x[i] -= lr * g[i];
  },
  momentum(x, g, lr, s, t) {
    for (let i = 0; i < 2; i++) {
      s[i] = t === 1 ? g[i] : 0.9 * s[i] + g[i];
      x[i] -= lr * s[i];
    }
  },
  rmsprop(x, g, lr, s) {
    for (let i = 0; i < 2; i++) {
      s[2 + i] = 0.99 * s[2 + i] + 0.01 * g[i] * g[i];
      x[i] -= (lr * g[i]) / (Math.sqrt(s[2 + i]) + 1e-8);
    }
  },
  adam(x, g, lr, s, t) {
    for (let i = 0; i < 2; i++) {
      s[i] = 0.9 * s[i] + 0.1 * g[i];
      s[2 + i] = 0.999 * s[2 + i] + 0.001 * g[i] * g[i];
      const denominator = Math.sqrt(s[2 + i]) / Math.sqrt(SECOND[t]) + 1e-8;
      x[i] -= ((lr / FIRST[t]) * s[i]) / denominator;
    }
  },
  lion(x, g, lr, s) {
    for (let i = 0; i < 2; i++) {
      const m = s[i];
      s[i] = 0.99 * m + 0.01 * g[i];
      x[i] -= lr * Math.sign(0.9 * m + 0.1 * g[i]);
    }
  },
};
export const RIVALS = Object.keys(RULES);
/** Sixteen step sizes from 10⁻⁴ to 10, the same for every rival. */
export const RATES = Array.from({ length: 16 }, (_, k) => 10 ** (-4 + k / 3));
export const GOAL = 0.01;

const bounded = (g) => Math.min(Math.max(g || 0, -1e6), 1e6);

/**
 * Runs; entries of gradients beyond 10⁶ are cut off, so that all stay finite.
 * @param {string} surface @param {string} rival @param {number} lr @param {number[]} start
 * @param {number} steps @param {boolean} untilGoal stop where the goal is reached
 * @param {Float64Array} [xs] @param {Float64Array} [ys] get the points
 * @returns {{taken: number, end: number}} steps, and how high the last point is
 */
export function walk(surface, rival, lr, start, steps, untilGoal, xs, ys) {
  const { f, gradient: look } = SURFACES[surface];
  const rule = RULES[rival];
  memory.fill(0);
  place.set(start);
  if (xs) [xs[0], ys[0]] = start;
  look(place);
  if (slope[0] === 0 && slope[1] === 0) {
    // None of the five leaves a place without a slope.
    if (xs) [xs, ys].forEach((values, i) => values.fill(start[i], 0, steps + 1));
    const end = f(place[0], place[1]);
    return { taken: untilGoal && end <= GOAL ? Math.min(1, steps) : steps, end };
  }
  for (let t = 1; t <= steps; t++) {
    look(place);
    for (let i = 0; i < 2; i++) slope[i] = bounded(slope[i]);
    rule(place, slope, lr, memory, t);
    if (xs) {
      xs[t] = place[0];
      ys[t] = place[1];
    }
    if (untilGoal) {
      const height = f(place[0], place[1]);
      const gone = Math.abs(place[0]) + Math.abs(place[1]) > 1e8;
      if (height <= GOAL || gone) return { taken: t, end: height };
    }
  }
  return { taken: steps, end: f(place[0], place[1]) };
}

/**
 * The points of one run.
 * @param {string} surface @param {string} rival @param {number} lr @param {number[]} start
 * @param {number} steps @param {boolean} [untilGoal] stop where the goal is reached
 * @returns {[number, number][]}
 */
export function run(surface, rival, lr, start, steps, untilGoal = false) {
  const [xs, ys] = [new Float64Array(steps + 1), new Float64Array(steps + 1)];
  const { taken } = walk(surface, rival, lr, start, steps, untilGoal, xs, ys);
  return Array.from(xs.subarray(0, taken + 1), (x, t) => [x, ys[t]]);
}

/** A saddle has no goal, and the longest step leaves it first: the step sizes are given. */
const ON_SADDLE = { momentum: 0.02 };

/**
 * The best of the sixteen step sizes from a start: the fewest steps to the goal, or, where none
 * arrives, the lowest end. On a saddle 0.05, and 0.02 for momentum.
 * @param {string} surface @param {string} rival @param {number[]} start @param {number} most
 * @param {number} [guess] one of them that may do: those near it are tried first, since no other is
 *   followed longer than the best so far
 * @returns {{lr: number, needed: number}} needed is Infinity where none arrives
 */
export function tune(surface, rival, start, most, guess = 0.01) {
  if (surface === "saddle") return { lr: ON_SADDLE[rival] ?? 0.05, needed: Infinity };
  let best = { lr: RATES[0], needed: Infinity, end: Infinity };
  const far = (lr) => Math.abs(Math.log(lr / guess));
  for (const lr of [...RATES].sort((a, b) => far(a) - far(b))) {
    const limit = Math.min(most, best.needed);
    const { taken, end } = walk(surface, rival, lr, start, limit, true);
    const needed = end <= GOAL ? taken : Infinity;
    const won = needed === Infinity ? best.end - end : best.needed - needed;
    // Of two that are as good, the smaller.
    const better = needed < Infinity || best.needed === Infinity;
    if (better && (won > 0 || (won === 0 && lr < best.lr))) best = { lr, needed, end };
  }
  return { lr: best.lr, needed: best.needed };
}
