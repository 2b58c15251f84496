/** Choose step size and momentum by a point in their plane. */

import { fixed, fmt } from "../lib/format.js";
import { axes, dot, inside, kept, legend, line, panels, say } from "../lib/plot.js";
import { field } from "./field.js";
import { best, border, path, radius, rate, regime } from "./math.js";

const ALPHA = [0, 4];
const BETA = [0, 1];
const [COLUMNS, ROWS] = [72, 48];
const STEPS = 120;

/** @param {import("../lib/scene.js").Tools} tools @returns {import("../lib/scene.js").View} */
export function create({ get, set, handle }) {
  let plot = null;
  const knob = handle({
    label: "Step size and momentum",
    drag: (x, y) => set({ alpha: plot.ix(x), beta: plot.iy(y) }),
    nudge: (right, up) => set({ alpha: get().alpha + 0.02 * right, beta: get().beta + 0.01 * up }),
  });
  return {
    does: {
      press(x, y) {
        if (x > plot.left && x < plot.right && y > plot.top && y < plot.bottom) {
          set({ alpha: plot.ix(x), beta: plot.iy(y) });
        }
      },
    },
    draw(g, { width, height, state, theme }) {
      const { method, kappa, alpha, beta } = state;
      const [left, right] = panels(width, height, 0.54, 0.55);
      plot = axes(g, theme, {
        box: left, x: ALPHA, y: BETA, xlabel: "step size αL", ylabel: "momentum β", grid: false,
      });
      kept(g, theme, `${method} ${kappa}`, [left[0], left[1], left[2], left[3]], (ink) => {
        drawField(ink, plot, method, kappa);
        inside(ink, plot, () => marks(ink, theme, plot, method, kappa));
      });
      knob.place(
        plot.sx(alpha), plot.sy(beta), alpha, `step size αL ${fixed(alpha, 2)}, momentum ${fixed(beta, 3)}`,
      );
      run(g, theme, right, state);
      return report(state);
    },
  };
}

function drawField(g, plot, method, kappa) {
  const level = (column, row) => {
    const alpha = ALPHA[0] + ((column + 0.5) / COLUMNS) * (ALPHA[1] - ALPHA[0]);
    const beta = BETA[1] - ((row + 0.5) / ROWS) * (BETA[1] - BETA[0]);
    const rho = rate(method, kappa, alpha, beta);
    // The colour tells the digits won in a step, as a share of the most that can be had.
    return rho >= 1 ? 1 : 1 - Math.min(1, Math.log(rho) / most);
  };
  const star = best(method, kappa);
  const most = Math.log(rate(method, kappa, star.alpha, star.beta));
  field(g, plot, { columns: COLUMNS, rows: ROWS, level, x: ALPHA, y: BETA });
  // Grey where it diverges, with a sharp border.
  g.beginPath();
  g.moveTo(plot.sx(ALPHA[1]), plot.sy(BETA[0]));
  for (let k = 0; k <= 40; k++) {
    const beta = k / 40;
    g.lineTo(plot.sx(border(method, beta)), plot.sy(beta));
  }
  g.lineTo(plot.sx(ALPHA[1]), plot.sy(BETA[1]));
  g.fillStyle = "rgb(140 143 150)";
  g.fill();
}

function marks(g, theme, p, method, kappa) {
  // The critical momentum of the flattest direction.
  const alphas = Array.from({ length: 80 }, (_, k) => (4 * (k + 0.5)) / 80);
  const critical = alphas.map((a) => {
    const root = Math.sqrt(a / kappa);
    if (root > 1) return NaN;
    return method === "ball" ? (1 - root) ** 2 : (1 - root) / (1 + root);
  });
  line(g, p, alphas, critical, { color: "#ffffff", dash: [5, 4], width: 1.5 });
  const star = best(method, kappa);
  say(g, theme, "★", p.sx(star.alpha), p.sy(star.beta), {
    align: "center", size: 20, color: "#ffffff", halo: "#000000",
  });
  say(g, theme, "diverges", p.sx(3.25), p.sy(0.12), { align: "center", color: "#000000" });
}

function run(g, theme, box, { method, kappa, alpha, beta }) {
  const points = path(method, kappa, alpha, beta, STEPS);
  const steps = points.map((_, k) => k);
  const p = axes(g, theme, {
    box, x: [0, STEPS], y: [1e-8, 1e2], ylog: true, xlabel: "step k", ylabel: "size of a coordinate",
  });
  const size = (i) => points.map((x) => Math.max(Math.abs(x[i]), 1e-12));
  const rho = rate(method, kappa, alpha, beta);
  inside(g, p, () => {
    line(g, p, steps, steps.map((k) => rho ** k), {
      color: theme.muted, dash: [2, 4], width: 2,
    });
    line(g, p, steps, size(1), { color: theme.vermillion, dash: [7, 4], width: 1.6 });
    line(g, p, steps, size(0), { color: theme.blue, width: 2.2 });
  });
  legend(g, theme, p.left + 10, p.bottom - 50, [
    { color: theme.blue, text: "flattest direction" },
    { color: theme.vermillion, dash: [7, 4], text: "steepest direction" },
    { color: theme.muted, dash: [2, 4], text: "rate ρ to the power k" },
  ]);
  dot(g, theme, p.sx(0), p.sy(1), theme.ink, 3);
}

function report({ method, kappa, alpha, beta }) {
  const flat = regime(method, alpha / kappa, beta);
  const steep = regime(method, alpha, beta);
  const rho = rate(method, kappa, alpha, beta);
  const star = best(method, kappa);
  const optimum = rate(method, kappa, star.alpha, star.beta);
  const digit = -1 / Math.log10(rho);
  const slower = radius(method, alpha / kappa, beta) >= radius(method, alpha, beta);
  return {
    values: { rate: fixed(rho, 3), best: fixed(optimum, 3), flat, steep },
    sentence:
      `${method === "ball" ? "Heavy ball" : "Nesterov’s method"} with αL = ${fixed(alpha, 2)} and ` +
      `β = ${fixed(beta, 3)} on a bowl with κ = ${fmt(kappa)}: ` +
      (rho >= 1
        ? "it diverges."
        : `a digit of accuracy takes ${fmt(digit, 2)} steps in the long run, and the ` +
          `${slower ? "flattest" : "steepest"} direction, which ${slower ? flat : steep}, is the ` +
          `slower one. The star needs ${fmt(-1 / Math.log10(optimum), 2)} steps a digit.`),
  };
}
