/** Step through a graph, forwards and backwards. */

import { fmt } from "../lib/format.js";
import { arrow, say } from "../lib/plot.js";
import { PROGRAMS, length, moment, written } from "./math.js";

// Where the nodes stand, in shares of width and height.
const PLACES = {
  product: [[0.1, 0.25], [0.1, 0.75], [0.38, 0.62], [0.64, 0.25], [0.88, 0.55]],
  neuron: [[0.09, 0.25], [0.09, 0.78], [0.31, 0.32], [0.51, 0.32], [0.7, 0.55], [0.89, 0.55]],
  powers: [[0.09, 0.28], [0.09, 0.8], [0.35, 0.28], [0.62, 0.28], [0.62, 0.75], [0.88, 0.5]],
};
const short = (x) => fmt(+x.toPrecision(12), Math.abs(x) < 100 ? 3 : 4).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
const low = (k) => "₀₁₂₃₄₅"[k];

/** @param {import("../lib/scene.js").Tools} tools @returns {import("../lib/scene.js").View} */
export function create({ get, set }) {
  const steps = ({ program, step }) => Math.min(Math.round(step), length(program));
  return {
    format: {
      step: (value, state) => `${steps(state)} of ${length(state.program)}`,
    },
    draw(g, { width, height, state, theme }) {
      const now = moment(state.program, [state.x0, state.x1], steps(state));
      const places = PLACES[state.program].map(([x, y]) => [x * width, y * height]);
      const operations = PROGRAMS[state.program];
      const names = places.map((_, k) => `v${low(k)}`);
      const radius = Math.min(34, width / 13);
      const carried = new Map(now.used.map(([a, b, share]) => [`${a} ${b}`, share]));
      operations.forEach(({ from }, n) => {
        from.forEach((k, i) => edge(g, theme, places, k, n + 2, radius, carried, now.phase, i));
      });
      places.forEach((place, k) => node(g, theme, place, radius, k, now, names, operations));
      return report(state, now, operations, names, steps(state));
    },
    action(name) {
      const state = get();
      const next = Math.min(Math.max(steps(state) + (name === "next" ? 1 : -1), 0), length(state.program));
      set({ step: next });
    },
  };
}

function edge(g, theme, places, from, to, radius, carried, phase) {
  const [[x0, y0], [x1, y1]] = [places[from], places[to]];
  const distance = Math.hypot(x1 - x0, y1 - y0);
  const [ux, uy] = [(x1 - x0) / distance, (y1 - y0) / distance];
  const [a, b] = [[x0 + ux * radius, y0 + uy * radius], [x1 - ux * radius, y1 - uy * radius]];
  const back = carried.has(`${to} ${from}`);
  const ahead = carried.has(`${from} ${to}`);
  const color = back || ahead ? theme.vermillion : theme.muted;
  const width = back || ahead ? 3.2 : 1.4;
  if (back) arrow(g, b[0], b[1], a[0], a[1], color, width);
  else arrow(g, a[0], a[1], b[0], b[1], color, width);
  if (back) {
    const text = short(carried.get(`${to} ${from}`));
    say(g, theme, text, (x0 + x1) / 2 - uy * 14, (y0 + y1) / 2 + ux * 14 - 2, {
      align: "center", color: theme.vermillion, halo: theme.paper, bold: true,
    });
  }
}

function node(g, theme, [x, y], radius, k, now, names, operations) {
  const here = now.at === k;
  g.beginPath();
  if (k < 2) g.roundRect(x - radius, y - radius * 0.72, 2 * radius, radius * 1.44, 5);
  else g.arc(x, y, radius, 0, 2 * Math.PI);
  g.fillStyle = theme.surface;
  g.fill();
  g.strokeStyle = here ? theme.vermillion : theme.blue;
  g.lineWidth = here ? 3 : 1.6;
  g.stroke();
  const size = radius > 28 ? 14 : 12;
  const last = k === names.length - 1;
  const title = k < 2 ? `x${low(k)}` : last ? `y = ${names[k]}` : names[k];
  say(g, theme, title, x, y - 9, { align: "center", size: size - 1, color: theme.muted });
  say(g, theme, now.values[k] === null ? "?" : short(now.values[k]), x, y + 9, { align: "center", size, bold: true });
  if (k >= 2) {
    say(g, theme, written(operations[k - 2], names), x, y - radius - 10, {
      align: "center", size: size - 1, halo: theme.paper,
    });
  }
  const shares = now.adjoints[k];
  if (!shares.length) return;
  const total = shares.reduce((a, b) => a + b, 0);
  const sum = shares.map(short).join(" + ").replaceAll("+ −", "− ");
  const text = now.waits[k] ? `${sum} + …` : shares.length > 1 ? `${sum} = ${short(total)}` : short(total);
  say(g, theme, text, x, y + radius + 13, {
    align: "center", size, color: theme.green, halo: theme.paper, bold: true,
  });
}

function report({ program }, now, operations, names, step) {
  const total = (k) => now.adjoints[k].reduce((a, b) => a + b, 0);
  const adjoint = (k) =>
    now.adjoints[k].length ? short(total(k)) + (now.waits[k] ? " + …" : "") : "–";
  const { phase, at, used } = now;
  const call = at >= 2 ? `${names[at]} = ${written(operations[at - 2], names)}` : "";
  const sentence = {
    inputs: () => "The inputs are given; nothing is computed yet.",
    forward: () => `Forward: ${call} is ${short(now.values[at])}, from ${used.map(([, , v]) => short(v)).join(" and ")}.`,
    seed: () => "The seed: the output changes as fast as itself, so its adjoint is 1.",
    reverse: () =>
      `Back through ${call}, whose adjoint is ${short(total(at))}: ` +
      `${used.map(([, k, share]) => `${k < 2 ? `x${low(k)}` : names[k]} receives ${short(share)}`).join(", ")}.`,
  }[phase]();
  const waiting = names.filter((_, k) => now.adjoints[k].length && now.waits[k]);
  const done = step === length(program);
  return {
    values: {
      moment: `${step} of ${length(program)}`,
      output: now.values.at(-1) === null ? "?" : short(now.values.at(-1)),
      first: adjoint(0),
      second: adjoint(1),
    },
    sentence:
      sentence +
      (waiting.length ? ` Still waiting for a share: ${waiting.join(", ").replace("v₀", "x₀").replace("v₁", "x₁")}.` : "") +
      (done ? ` The gradient is (${short(total(0))}, ${short(total(1))}).` : ""),
  };
}
