/** Drag a Gaussian over a density and watch both divergences. */

import { fixed, fmt } from "../lib/format.js";
import { axes, inside, legend, line } from "../lib/plot.js";
import { DENSITIES, descendReverse, forward, logDensity, logNormal, moments, reverse } from "./math.js";

const X = [-5.5, 5.5];
const XS = Float64Array.from({ length: 276 }, (_, k) => X[0] + (k * (X[1] - X[0])) / 275);
const LOG_P = Object.fromEntries(
  Object.keys(DENSITIES).map((name) => [name, XS.map((x) => logDensity(x, name))]),
);
const P = Object.fromEntries(
  Object.entries(LOG_P).map(([name, values]) => [name, values.map(Math.exp)]),
);
const ROOT = Math.sqrt(2 * Math.PI);

/** @param {import("../lib/scene.js").Tools} tools @returns {import("../lib/scene.js").View} */
export function create({ get, set, handle }) {
  let plot = null;
  const knob = handle({
    label: "Peak of q: across its mean, upwards narrower",
    drag: (x, y) => set({ mu: plot.ix(x), sigma: 1 / (ROOT * Math.max(plot.iy(y), 0.03)) }),
    nudge: (right, up) => {
      const { mu, sigma } = get();
      set({ mu: mu + 0.05 * right, sigma: sigma * 0.97 ** up });
    },
  });
  return {
    draw(g, { width, height, state, theme }) {
      const { p, mu, sigma } = state;
      const logP = LOG_P[p];
      const logQ = XS.map((x) => logNormal(x, mu, sigma));
      const q = logQ.map(Math.exp);
      plot = densities(g, theme, [0, 0, width, height * 0.57], P[p], q);
      const peak = 1 / (ROOT * sigma);
      knob.place(
        plot.sx(mu), plot.sy(peak), mu, `mean ${fixed(mu, 2)}, standard deviation ${fmt(sigma)}`,
      );
      const there = P[p].map((a, k) => a * (logP[k] - logQ[k]));
      const back = q.map((b, k) => b * (logQ[k] - logP[k]));
      integrands(g, theme, [0, height * 0.57, width, height], there, back);
      return report(state);
    },
    action(name) {
      const { p, mu, sigma } = get();
      const [m, s] = name === "forward" ? moments(p) : descendReverse(p, mu, sigma);
      set({ mu: m, sigma: s });
    },
  };
}

function densities(g, theme, box, density, q) {
  const p = axes(g, theme, { box, x: X, y: [0, 1.35], ylabel: "density" });
  inside(g, p, () => {
    line(g, p, XS, density, { color: theme.blue, fill: `${theme.blue}33` });
    line(g, p, XS, q, { color: theme.vermillion, dash: [8, 5], width: 2.4 });
  });
  legend(g, theme, p.left + 10, p.top + 10, [
    { color: theme.blue, text: "p" },
    { color: theme.vermillion, dash: [8, 5], text: "q" },
  ]);
  return p;
}

function integrands(g, theme, box, there, back) {
  const p = axes(g, theme, { box, x: X, y: [-0.8, 2.8], xlabel: "x", ylabel: "nats per unit" });
  inside(g, p, () => {
    line(g, p, XS, there, { color: theme.blue, fill: `${theme.blue}33`, width: 1.8 });
    line(g, p, XS, back, { color: theme.vermillion, dash: [8, 5], fill: `${theme.vermillion}26` });
  });
  legend(g, theme, p.right - 190, p.top + 8, [
    { color: theme.blue, text: "p log(p/q), area D(p ‖ q)" },
    { color: theme.vermillion, dash: [8, 5], text: "q log(q/p), area D(q ‖ p)" },
  ]);
}

function report({ p, mu, sigma }) {
  const [there, back] = [forward(p, mu, sigma), reverse(p, mu, sigma)];
  const [m, s] = moments(p);
  const least = forward(p, m, s);
  const worse =
    Math.abs(there - back) < 0.005 * (there + back) + 1e-6
      ? "Both directions say the same."
      : there > back
        ? "The forward direction is the stricter: p has mass where q has little."
        : "The reverse direction is the stricter: q has mass where p has little.";
  return {
    values: { forward: fmt(there), reverse: fmt(back) },
    sentence:
      `q has mean ${fixed(mu, 2)} and standard deviation ${fmt(sigma)}; D(p ‖ q) is ${fmt(there)} ` +
      `and D(q ‖ p) is ${fmt(back)} nats. ${worse} No Gaussian does better forwards than ` +
      `${fmt(Math.max(least, 0))}.`,
  };
}
