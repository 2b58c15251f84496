/** Functions with their derivatives, and two quotients for these. */

/** @type {Record<string, [(x: number) => number, (x: number) => number]>} */
export const FUNCTIONS = {
  wave: [(x) => Math.sin(2 * x) + (x * x) / 4, (x) => 2 * Math.cos(2 * x) + x / 2],
  exp: [Math.exp, Math.exp],
  root: [(x) => Math.sqrt(x * x + 0.01), (x) => x / Math.sqrt(x * x + 0.01)],
  relu: [(x) => Math.max(0, x), (x) => Number(x > 0)],
  square: [(x) => x * x, (x) => 2 * x],
};

export const value = (name, x) => FUNCTIONS[name][0](x);
export const slope = (name, x) => FUNCTIONS[name][1](x);

/** (f(x + h) − f(x)) / h, in the machine's own arithmetic. */
export const forward = (name, x, h) => (value(name, x + h) - value(name, x)) / h;

/** (f(x + h) − f(x − h)) / (2h). */
export const central = (name, x, h) => (value(name, x + h) - value(name, x - h)) / (2 * h);
