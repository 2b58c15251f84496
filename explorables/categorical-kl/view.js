/** Drag the bars of q and watch what each outcome costs. */

import { fixed, fmt } from "../lib/format.js";
import { axes, inside, legend, say } from "../lib/plot.js";
import { DISTRIBUTIONS, crossEntropy, divergence, jensenShannon, normalise, terms } from "./math.js";

const NAMES = ["w1", "w2", "w3", "w4", "w5", "w6"];

/** @param {import("../lib/scene.js").Tools} tools @returns {import("../lib/scene.js").View} */
export function create({ get, set, handle }) {
  let plot = null;
  const mixed = (state) => {
    const share = state.floor / 100;
    return normalise(NAMES.map((name) => state[name])).map((q) => (1 - share) * q + share / 6);
  };

  /** Sets one probability; the others keep their proportions. */
  function move(k, wanted) {
    const q = normalise(NAMES.map((name) => get()[name]));
    const goal = Math.min(Math.max(Math.round(200 * wanted) / 200, 0), 1);
    const rest = 1 - q[k];
    const change = { floor: 0 };
    q.forEach((share, j) => {
      const kept = rest > 1e-9 ? (share * (1 - goal)) / rest : (1 - goal) / 5;
      change[NAMES[j]] = j === k ? goal : kept;
    });
    set(change);
  }

  const knobs = NAMES.map((name, k) =>
    handle({
      label: `Probability of outcome ${k + 1} under q`,
      drag: (x, y) => move(k, plot.iy(y)),
      nudge: (right, up) => move(k, mixed(get())[k] + 0.01 * (up + right)),
    }),
  );

  return {
    draw(g, { width, height, state, theme }) {
      const p = DISTRIBUTIONS[state.p];
      const q = mixed(state);
      const ticks = NAMES.map((_, k) => [k + 1, String(k + 1)]);
      const middle = height * 0.55;
      plot = axes(g, theme, {
        box: [0, 0, width, middle], x: [0.4, 6.6], y: [0, 1.05], ylabel: "probability", xticks: ticks,
      });
      p.forEach((a, k) => bar(g, plot, k + 1, 0, a, 0.36, theme.blue, `${theme.blue}40`));
      q.forEach((b, k) => {
        bar(g, plot, k + 1, 0, b, 0.25, theme.vermillion, "transparent", [6, 4]);
        knobs[k].place(plot.sx(k + 1), plot.sy(b), b, fixed(b, 3));
      });
      legend(g, theme, plot.right - 60, plot.top + 12, [
        { color: theme.blue, text: "p" },
        { color: theme.vermillion, dash: [6, 4], text: "q" },
      ]);
      costs(g, theme, [0, middle, width, height], terms(p, q), terms(q, p), ticks);
      return report(p, q, state);
    },
    action() {
      const p = DISTRIBUTIONS[get().p];
      set(Object.fromEntries([["floor", 0], ...NAMES.map((name, k) => [name, p[k]])]));
    },
  };
}

function bar(g, p, x, low, high, half, color, fill, dash = []) {
  const [x0, x1] = [p.sx(x - half), p.sx(x + half)];
  const [y0, y1] = [p.sy(low), p.sy(high)];
  g.save();
  g.fillStyle = fill;
  g.fillRect(x0, Math.min(y0, y1), x1 - x0, Math.abs(y0 - y1));
  g.strokeStyle = color;
  g.lineWidth = 1.8;
  g.setLineDash(dash);
  g.strokeRect(x0, Math.min(y0, y1), x1 - x0, Math.abs(y0 - y1));
  g.restore();
}

function costs(g, theme, box, there, back, ticks) {
  const p = axes(g, theme, {
    box, x: [0.4, 6.6], y: [-0.45, 1.25], xlabel: "outcome", ylabel: "cost in nats", xticks: ticks,
  });
  inside(g, p, () => {
    for (const [values, shift, color, dash] of [
      [there, -0.2, theme.blue, []],
      [back, 0.2, theme.vermillion, [6, 4]],
    ]) {
      values.forEach((value, k) => {
        const shown = Math.min(Math.max(value, -0.45), 1.25);
        bar(g, p, k + 1 + shift, 0, shown, 0.16, color, `${color}40`, dash);
        if (value > 1.25) {
          const text = value === Infinity ? "∞" : fmt(value, 2);
          say(g, theme, text, p.sx(k + 1 + shift), p.sy(1.1), { align: "center", halo: theme.paper });
        }
      });
    }
  });
  legend(g, theme, p.right - 130, p.top + 10, [
    { color: theme.blue, text: "p log(p/q)" },
    { color: theme.vermillion, dash: [6, 4], text: "q log(q/p)" },
  ]);
}

function report(p, q, { floor }) {
  const [there, back, js] = [divergence(p, q), divergence(q, p), jensenShannon(p, q)];
  const infinite = [
    there === Infinity && "q rules out what p produces, so the forward divergence is infinite",
    back === Infinity && "p rules out what q produces, so the reverse divergence is infinite",
  ].filter(Boolean);
  const most = terms(p, q).indexOf(Math.max(...terms(p, q)));
  return {
    values: {
      forward: fmt(Math.max(there, 0)),
      reverse: fmt(Math.max(back, 0)),
      js: fmt(Math.max(js, 0)),
      cross: fmt(crossEntropy(p, q)),
    },
    sentence:
      (infinite.length
        ? `${infinite.join("; and ")}.`.replace(/^./, (c) => c.toUpperCase())
        : there < 1e-9 && back < 1e-9
          ? "The two are the same: both divergences are zero, and the cross-entropy is the entropy."
          : `Forwards outcome ${most + 1} costs most; D(p ‖ q) is ${fmt(there)}, D(q ‖ p) ${fmt(back)} nats.`) +
      ` The Jensen–Shannon divergence, ${fmt(Math.max(js, 0))}, stays below log 2 = 0.693.` +
      (floor ? ` ${floor} % of q is a fair die.` : ""),
  };
}
