/** Surfaces in the plane, five optimizers with PyTorch’s defaults, and the rules of the race. */

const HALF = Math.SQRT1_2;

const rosenbrock = ([x, y]) => (1 - x) ** 2 + 100 * (y - x * x) ** 2;
const rosenbrockGradient = ([x, y]) => {
  const valley = y - x * x;
  return [-2 * (1 - x) - 400 * x * valley, 200 * valley];
};
const BEALE = [1.5, 2.25, 2.625];
const beale = ([x, y]) => BEALE.reduce((sum, c, k) => sum + (c - x * (1 - y ** (k + 1))) ** 2, 0);
const bealeGradient = ([x, y]) => {
  let [dx, dy] = [0, 0];
  BEALE.forEach((c, k) => {
    const residual = c - x * (1 - y ** (k + 1));
    dx -= 2 * residual * (1 - y ** (k + 1));
    dy += 2 * residual * x * (k + 1) * y ** k;
  });
  return [dx, dy];
};
const ravine = ([x, y]) => (x * x + 100 * y * y) / 2;
const ravineGradient = ([x, y]) => [x, 100 * y];
/** To the axes of the ravine, and back. */
const turned = ([x, y]) => [HALF * (x + y), HALF * (y - x)];
const back = ([x, y]) => [HALF * (x - y), HALF * (x + y)];
const saddle = ([x, y]) => (x * x - y * y) / 2;

/**
 * @type {Record<string, {f: (x: number[]) => number, gradient: (x: number[]) => number[],
 *   window: [number, number, number, number], goal: [number, number]}>}
 */
export const SURFACES = {
  rosenbrock: { f: rosenbrock, gradient: rosenbrockGradient, window: [-1.8, 1.8, -0.8, 1.8], goal: [1, 1] },
  beale: { f: beale, gradient: bealeGradient, window: [-0.5, 4, -1.6, 1.6], goal: [3, 0.5] },
  ravine: { f: ravine, gradient: ravineGradient, window: [-2.2, 2.2, -1.6, 1.6], goal: [0, 0] },
  tilted: {
    f: (x) => ravine(turned(x)), gradient: (x) => back(ravineGradient(turned(x))),
    window: [-2.2, 2.2, -1.6, 1.6], goal: [0, 0],
  },
  saddle: { f: saddle, gradient: ([x, y]) => [x, -y], window: [-1.6, 1.6, -1.4, 1.4], goal: [0, 0] },
};

export const value = (surface, x) => SURFACES[surface].f(x);
export const gradient = (surface, x) => SURFACES[surface].gradient(x);

/** What one step of each does to one coordinate; `s` is the coordinate's own memory. */
const RULES = {
  descent: (x, g, lr) => x - lr * g,
  momentum(x, g, lr, s, t) {
    s.m = t === 1 ? g : 0.9 * s.m + g;
    return x - lr * s.m;
  },
  rmsprop(x, g, lr, s) {
    s.v = 0.99 * (s.v ?? 0) + 0.01 * g * g;
    return x - (lr * g) / (Math.sqrt(s.v) + 1e-8);
  },
  adam(x, g, lr, s, t) {
    s.m = 0.9 * (s.m ?? 0) + 0.1 * g;
    s.v = 0.999 * (s.v ?? 0) + 0.001 * g * g;
    const denominator = Math.sqrt(s.v) / Math.sqrt(1 - 0.999 ** t) + 1e-8;
    return x - ((lr / (1 - 0.9 ** t)) * s.m) / denominator;
  },
  lion(x, g, lr, s) {
    const m = s.m ?? 0;
    s.m = 0.99 * m + 0.01 * g;
    return x - lr * Math.sign(0.9 * m + 0.1 * g);
  },
};
export const RIVALS = Object.keys(RULES);
/** Sixteen step sizes from 10⁻⁴ to 10, the same for every rival. */
export const RATES = Array.from({ length: 16 }, (_, k) => 10 ** (-4 + k / 3));
export const GOAL = 0.01;

/**
 * The points of one run; entries of gradients beyond 10⁶ are cut off, so that all stay finite.
 * @param {string} surface @param {string} rival @param {number} lr @param {number[]} start
 * @param {number} steps @param {boolean} [untilGoal] stop where the goal is reached
 * @returns {[number, number][]}
 */
export function run(surface, rival, lr, start, steps, untilGoal = false) {
  const { f, gradient: slope } = SURFACES[surface];
  const rule = RULES[rival];
  const memory = [{}, {}];
  let x = start;
  const points = [x];
  for (let t = 1; t <= steps; t++) {
    const g = slope(x);
    x = [0, 1].map((i) => {
      const clipped = Math.min(Math.max(g[i] || 0, -1e6), 1e6);
      return rule(x[i], clipped, lr, memory[i], t);
    });
    points.push(x);
    if (untilGoal && (f(x) <= GOAL || Math.abs(x[0]) + Math.abs(x[1]) > 1e8)) break;
  }
  return points;
}

/** A saddle has no goal, and the longest step leaves it first: the step sizes are given. */
const ON_SADDLE = { momentum: 0.02 };

/**
 * The best of the sixteen step sizes from a start: the fewest steps to the goal, or, where none
 * arrives, the lowest end. On a saddle 0.05, and 0.02 for momentum.
 * @param {string} surface @param {string} rival @param {number[]} start @param {number} most
 * @returns {{lr: number, needed: number}} needed is Infinity where none arrives
 */
export function tune(surface, rival, start, most) {
  if (surface === "saddle") return { lr: ON_SADDLE[rival] ?? 0.05, needed: Infinity };
  let best = { lr: RATES[0], needed: Infinity, end: Infinity };
  for (const lr of RATES) {
    const limit = Math.min(most, best.needed);
    const points = run(surface, rival, lr, start, limit, true);
    const end = SURFACES[surface].f(points.at(-1));
    const needed = end <= GOAL ? points.length - 1 : Infinity;
    if (needed < best.needed || (best.needed === Infinity && end < best.end)) best = { lr, needed, end };
  }
  return { lr: best.lr, needed: best.needed };
}
