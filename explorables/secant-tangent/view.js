/** A secant whose step shrinks, and what the machine makes of it. */

import { fixed, fmt } from "../lib/format.js";
import { axes, dot, inside, legend, line, panels } from "../lib/plot.js";
import { central, forward, slope, value } from "./math.js";

const STEPS = Array.from({ length: 150 }, (_, k) => 10 ** (-16 + (16.2 * k) / 149));
const FLOOR = 1e-17; // where an error of zero is drawn

/** @param {import("../lib/scene.js").Tools} tools @returns {import("../lib/scene.js").View} */
export function create({ get, set, handle }) {
  let plot = null;
  const known = new Map();
  const knob = handle({
    label: "The point x",
    color: "blue",
    drag: (x) => set({ x: Math.round(1000 * plot.ix(x)) / 1000 }),
    nudge: (right, up) => set({ x: get().x + 0.01 * (right + up) }),
  });
  const other = handle({
    label: "The second point x + h",
    drag: (x) => set({ h: Math.max(plot.ix(x) - get().x, 1e-3) }),
    nudge: (right, up) => set({ h: get().h * 1.05 ** (right + up) }),
  });

  function errors({ f, x }) {
    const key = `${f} ${x}`;
    if (!known.has(key)) {
      known.clear();
      const of = (quotient) => STEPS.map((h) => Math.max(Math.abs(quotient(f, x, h) - slope(f, x)), FLOOR));
      known.set(key, { forward: of(forward), central: of(central) });
    }
    return known.get(key);
  }

  return {
    draw(g, { width, height, state, theme }) {
      const [left, right] = panels(width, height, 0.5, 0.52);
      plot = curve(g, theme, left, state);
      const { f, x, h } = state;
      knob.place(plot.sx(x), plot.sy(value(f, x)), x, `x ${fixed(x, 2)}`);
      const [x1, y1] = [Math.min(x + h, 3.2), value(f, Math.min(x + h, 3.2))];
      const up = Math.min(Math.max(plot.sy(y1), plot.top), plot.bottom);
      other.place(plot.sx(x1), up, h, `h ${fmt(h)}`, h >= 0.04);
      errorPlot(g, theme, right, errors(state), state);
      return report(state);
    },
  };
}

function curve(g, theme, box, { f, x, h, both }) {
  const xs = Array.from({ length: 200 }, (_, k) => -3 + (6.2 * k) / 199);
  const p = axes(g, theme, { box, x: [-3, 3.2], y: [-2, 5], xlabel: "x", ylabel: "f(x)" });
  const through = (a, b, look) => {
    const m = (value(f, b) - value(f, a)) / (b - a);
    line(g, p, [-3, 3.2], [-3, 3.2].map((t) => value(f, a) + m * (t - a)), look);
  };
  inside(g, p, () => {
    line(g, p, xs, xs.map((t) => value(f, t)), { color: theme.ink, width: 2.2 });
    line(g, p, [-3, 3.2], [-3, 3.2].map((t) => value(f, x) + slope(f, x) * (t - x)), {
      color: theme.blue, width: 1.6,
    });
    if (h > 1e-9) {
      through(x, x + h, { color: theme.vermillion, dash: [8, 5], width: 2 });
      if (both) through(x - h, x + h, { color: theme.green, dash: [2, 4], width: 2.4 });
    }
    if (both) dot(g, theme, p.sx(x - h), p.sy(value(f, x - h)), theme.green, 4.5);
  });
  legend(g, theme, p.left + 12, p.top + 12, [
    { color: theme.blue, text: "tangent", width: 1.6 },
    { color: theme.vermillion, dash: [8, 5], text: "secant" },
    ...(both ? [{ color: theme.green, dash: [2, 4], text: "central secant" }] : []),
  ]);
  return p;
}

function errorPlot(g, theme, box, errors, { f, x, h }) {
  const p = axes(g, theme, {
    box, x: [1e-16, 1.6], xlog: true, y: [FLOOR, 30], ylog: true, xlabel: "step h", ylabel: "error",
  });
  inside(g, p, () => {
    line(g, p, [h, h], [FLOOR, 30], { color: theme.muted, dash: [4, 4], width: 1.3 });
    line(g, p, STEPS, errors.forward, { color: theme.vermillion, dash: [8, 5], width: 1.8 });
    line(g, p, STEPS, errors.central, { color: theme.green, dash: [2, 4], width: 2.2 });
    for (const [quotient, color] of [[forward, theme.vermillion], [central, theme.green]]) {
      const error = Math.max(Math.abs(quotient(f, x, h) - slope(f, x)), FLOOR);
      dot(g, theme, p.sx(h), p.sy(error), color, 5);
    }
  });
  legend(g, theme, p.left + 12, p.top + 12, [
    { color: theme.vermillion, dash: [8, 5], text: "forward" },
    { color: theme.green, dash: [2, 4], text: "central" },
  ]);
}

function report({ f, x, h }) {
  const exact = slope(f, x);
  const [one, two] = [forward(f, x, h), central(f, x, h)];
  const [first, second] = [one, two].map((q) => Math.abs(q - exact));
  const corner = f === "relu" && x > -h && x < h;
  const why = corner
    ? "The step reaches over the corner, where no tangent describes the function."
    : h > 1e-3
      ? "What is left is the curve’s bend: a shorter step helps."
      : h < 1e-9
        ? "What is left is rounding, divided by a tiny step: a longer step helps."
        : "Here bend and rounding are about to change places.";
  return {
    values: {
      slope: fmt(exact, 7),
      forward: fmt(one, 7),
      central: fmt(two, 7),
      errors: `${fmt(first, 2)} and ${fmt(second, 2)}`,
    },
    sentence:
      `At x = ${fixed(x, 2)} with h = ${fmt(h)} the forward quotient is off by ${fmt(first, 2)}, the ` +
      `central one by ${fmt(second, 2)}. ${why}`,
  };
}
