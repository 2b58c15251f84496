/** Four logits to move and a temperature to turn. */

import { fixed, fmt } from "../lib/format.js";
import { axes, dot, inside, line, panels, say } from "../lib/plot.js";
import { entropy, entropySlope, softmax } from "./math.js";

const NAMES = ["z1", "z2", "z3", "z4"];
const TEMPERATURES = Array.from({ length: 200 }, (_, k) => 10 ** (-1.3 + (2.8 * k) / 199));
const LOW = "₁₂₃₄";

/** @param {import("../lib/scene.js").Tools} tools @returns {import("../lib/scene.js").View} */
export function create({ get, set, handle }) {
  let plot = null;
  const knobs = NAMES.map((name, k) =>
    handle({
      label: `Logit z${LOW[k]}`,
      drag: (x, y) => set({ [name]: Math.round(20 * plot.iy(y)) / 20 }),
      nudge: (right, up) => set({ [name]: get()[name] + 0.05 * (up + right) }),
    }),
  );
  return {
    draw(g, { width, height, state, theme }) {
      const z = NAMES.map((name) => state[name]);
      const q = softmax(z, state.T);
      const [left, right] = panels(width, height, 0.52, 0.55);
      const middle = left[1] + (left[3] - left[1]) * 0.5;
      const ticks = NAMES.map((_, k) => [k + 1, String(k + 1)]);
      plot = axes(g, theme, {
        box: [left[0], left[1], left[2], middle], x: [0.4, 4.6], y: [-4.3, 4.3], ylabel: "logit z",
        xticks: ticks,
      });
      inside(g, plot, () => {
        line(g, plot, [0, 5], [0, 0], { color: theme.muted, width: 1 });
        z.forEach((value, k) => {
          line(g, plot, [k + 1, k + 1], [0, value], { color: theme.vermillion, width: 2 });
        });
      });
      z.forEach((value, k) => {
        knobs[k].place(plot.sx(k + 1), plot.sy(value), value, fixed(value, 2));
      });
      bars(g, theme, [left[0], middle, left[2], left[3]], q, ticks);
      curve(g, theme, right, z, state.T);
      return report(z, q, state.T);
    },
  };
}

function bars(g, theme, box, q, ticks) {
  const p = axes(g, theme, {
    box, x: [0.4, 4.6], y: [0, 1.12], xlabel: "outcome k", ylabel: "probability", xticks: ticks,
  });
  q.forEach((share, k) => {
    const [x0, x1] = [p.sx(k + 0.68), p.sx(k + 1.32)];
    g.fillStyle = `${theme.blue}59`;
    g.strokeStyle = theme.blue;
    g.lineWidth = 1.5;
    g.fillRect(x0, p.sy(share), x1 - x0, p.sy(0) - p.sy(share));
    g.strokeRect(x0, p.sy(share), x1 - x0, p.sy(0) - p.sy(share));
    say(g, theme, fixed(share, 2), (x0 + x1) / 2, p.sy(share) - 9, { align: "center", size: 12 });
  });
}

function curve(g, theme, box, z, T) {
  const p = axes(g, theme, {
    box, x: [10 ** -1.3, 10 ** 1.5], xlog: true, y: [0, 1.5], xlabel: "temperature T", ylabel: "entropy H",
  });
  const heights = TEMPERATURES.map((t) => entropy(softmax(z, t)));
  inside(g, p, () => {
    line(g, p, [0.01, 100], [Math.log(4), Math.log(4)], { color: theme.muted, dash: [2, 4], width: 1.4 });
    line(g, p, TEMPERATURES, heights, { color: theme.green, width: 2.2 });
  });
  say(g, theme, "log 4", p.left + 6, p.sy(Math.log(4)) - 9, { color: theme.muted });
  dot(g, theme, p.sx(T), p.sy(entropy(softmax(z, T))), theme.vermillion, 6);
}

function report(z, q, T) {
  const h = entropy(q);
  const first = q.indexOf(Math.max(...q));
  const sorted = [...z].sort((a, b) => b - a);
  const lead = sorted[0] - sorted[1];
  const mood =
    h > 1.3 ? "Hot: the outcomes are almost equally likely."
      : h < 0.1 ? "Cold: softmax has all but decided."
        : "In between: softmax prefers, and keeps its doubts.";
  return {
    values: {
      entropy: fixed(h, 3),
      slope: fmt(entropySlope(z, T)),
      top: fixed(q[first], 3),
      perplexity: fixed(Math.exp(h), 2),
    },
    sentence:
      `${mood} At T = ${fmt(T)} outcome ${first + 1} has probability ${fixed(q[first], 3)}; its logit ` +
      `leads by ${fixed(lead, 2)}, which is ${fmt(lead / T, 2)} temperatures. The entropy is ` +
      `${fixed(h, 3)} of at most ${fixed(Math.log(4), 3)} nats.`,
  };
}
