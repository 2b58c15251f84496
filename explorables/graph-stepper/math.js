/**
 * Programs of a few operations, and reverse mode through them, one operation at a time.
 *
 * @typedef {{op: string, from: number[]}} Operation nodes 0 and 1 are the inputs
 */

/** @type {Record<string, {value: (...a: number[]) => number,
 *   shares: (dy: number, ...a: number[]) => number[], text: (...names: string[]) => string}>} */
const OPERATIONS = {
  add: { value: (a, b) => a + b, shares: (dy) => [dy, dy], text: (a, b) => `${a} + ${b}` },
  subtract: { value: (a, b) => a - b, shares: (dy) => [dy, -dy], text: (a, b) => `${a} − ${b}` },
  multiply: {
    value: (a, b) => a * b,
    shares: (dy, a, b) => [dy * b, dy * a],
    text: (a, b) => `${a} ${b}`,
  },
  square: { value: (a) => a * a, shares: (dy, a) => [2 * a * dy], text: (a) => `${a}²` },
  tanh: {
    value: Math.tanh,
    shares: (dy, a) => [dy * (1 - Math.tanh(a) ** 2)],
    text: (a) => `tanh ${a}`,
  },
};

/** @type {Record<string, Operation[]>} */
export const PROGRAMS = {
  product: [
    { op: "multiply", from: [0, 1] },
    { op: "add", from: [2, 0] },
    { op: "multiply", from: [2, 3] },
  ],
  neuron: [
    { op: "multiply", from: [0, 1] },
    { op: "tanh", from: [2] },
    { op: "subtract", from: [3, 1] },
    { op: "square", from: [4] },
  ],
  powers: [
    { op: "square", from: [0] },
    { op: "square", from: [2] },
    { op: "multiply", from: [2, 1] },
    { op: "add", from: [3, 4] },
  ],
};

/** @param {Operation} operation @param {string[]} names @returns {string} what it computes */
export const written = ({ op, from }, names) =>
  OPERATIONS[op].text(...from.map((k) => names[k]));

/**
 * The state after so many steps: none, the inputs; then each operation forwards; the seed; each
 * operation backwards.
 * @param {string} program @param {number[]} inputs @param {number} step
 * @returns {{values: (number | null)[], adjoints: number[][], used: [number, number, number][],
 *   waits: boolean[], phase: "inputs" | "forward" | "seed" | "reverse", at: number}} adjoints as
 *   the shares received so far; used: arrows in use with the share each carries
 */
export function moment(program, inputs, step) {
  const operations = PROGRAMS[program];
  const n = operations.length;
  const nodes = n + inputs.length;
  const values = [...inputs, ...Array(n).fill(null)];
  const adjoints = Array.from({ length: nodes }, () => []);
  const pending = Array(nodes).fill(0);
  for (const { from } of operations) for (const k of from) pending[k]++;
  let used = [];
  let phase = "inputs";
  let at = -1;
  const argumentsOf = ({ from }) => from.map((k) => values[k]);
  for (let k = 0; k < Math.min(step, n); k++) {
    values[inputs.length + k] = OPERATIONS[operations[k].op].value(...argumentsOf(operations[k]));
    [phase, at] = ["forward", inputs.length + k];
    used = operations[k].from.map((j) => [j, inputs.length + k, values[j]]);
  }
  if (step > n) {
    adjoints[nodes - 1].push(1);
    [phase, at, used] = ["seed", nodes - 1, []];
  }
  for (let k = n - 1; k >= 0 && step > n + (n - k); k--) {
    const node = inputs.length + k;
    const total = adjoints[node].reduce((a, b) => a + b, 0);
    const shares = OPERATIONS[operations[k].op].shares(total, ...argumentsOf(operations[k]));
    used = operations[k].from.map((j, i) => {
      adjoints[j].push(shares[i]);
      pending[j]--;
      return [node, j, shares[i]];
    });
    [phase, at] = ["reverse", node];
  }
  return { values, adjoints, used, waits: pending.map((left) => left > 0), phase, at };
}

/** Number of steps of a program, the first state not counted. */
export const length = (program) => 2 * PROGRAMS[program].length + 1;
