/** Gradient descent from a start that the reader moves. */

import { fixed, fmt } from "../lib/format.js";
import { arrow, axes, dot, inside, legend, line, panels, say } from "../lib/plot.js";
import { bestShare, factors, path, rate, stepsTo } from "./math.js";

const REACH = [1.25, 0.95]; // half the width and height of the plane that is shown

/** @param {import("../lib/scene.js").Tools} tools @returns {import("../lib/scene.js").View} */
export function create({ get, set, handle }) {
  let plot = null;
  const knob = handle({
    label: "Start of gradient descent",
    drag: (x, y) => set({ x1: plot.ix(x), x2: plot.iy(y) }),
    nudge: (right, up) => set({ x1: get().x1 + 0.02 * right, x2: get().x2 + 0.02 * up }),
  });
  return {
    draw(g, { width, height, state, theme }) {
      const { kappa, alpha, x1, x2 } = state;
      const points = path(kappa, alpha, [x1, x2], 60);
      const [left, right] = panels(width, height, 0.56, 0.52);
      plot = plane(g, theme, left, kappa);
      inside(g, plot, () => drawPath(g, theme, plot, points.slice(0, state.shown + 1)));
      knob.place(plot.sx(x1), plot.sy(x2), x1, `x₁ ${fixed(x1, 2)}, x₂ ${fixed(x2, 2)}`);
      distances(g, theme, right, points, kappa, alpha, state.shown);
      return report(state);
    },
  };
}

function plane(g, theme, box, kappa) {
  // One unit is as long across as upwards.
  const [w, h] = [box[2] - box[0] - 66, box[3] - box[1] - 52];
  const unit = Math.min(w / (2 * REACH[0]), h / (2 * REACH[1]));
  const [x, y] = [w / unit / 2, h / unit / 2];
  const p = axes(g, theme, {
    box, x: [-x, x], y: [-y, y], xlabel: "x₁, the flat direction", ylabel: "x₂, the steep one",
    grid: false,
  });
  inside(g, p, () => {
    g.strokeStyle = theme.rule;
    g.lineWidth = 1.2;
    for (let k = 0; k < 9; k++) {
      const level = 2.2 * kappa * 0.45 ** k;
      g.beginPath();
      g.ellipse(
        p.sx(0), p.sy(0), unit * Math.sqrt(2 * level), unit * Math.sqrt((2 * level) / kappa),
        0, 0, 2 * Math.PI,
      );
      g.stroke();
    }
    say(g, theme, "★", p.sx(0), p.sy(0), { align: "center", size: 16 });
  });
  return p;
}

function drawPath(g, theme, p, points) {
  line(g, p, points.map(([a]) => a), points.map(([, b]) => b), { color: theme.blue, width: 1.6 });
  for (const [a, b] of points.slice(1)) dot(g, theme, p.sx(a), p.sy(b), theme.blue, 3.4);
  if (points.length > 1) {
    const [[a, b], [c, d]] = points;
    arrow(g, p.sx(a), p.sy(b), p.sx(c), p.sy(d), theme.blue, 2.2);
  }
}

function distances(g, theme, box, points, kappa, alpha, shown) {
  const start = Math.hypot(...points[0]);
  const p = axes(g, theme, {
    box, x: [0, 60], y: [1e-8, 1e2], ylog: true,
    xlabel: "step k", ylabel: "distance to the minimum",
  });
  const steps = points.map((_, k) => k);
  const rho = rate(kappa, alpha);
  inside(g, p, () => {
    line(g, p, steps, steps.map((k) => start * rho ** k), {
      color: theme.vermillion, dash: [7, 5], width: 2,
    });
    const measured = points.slice(0, shown + 1).map((x) => Math.max(Math.hypot(...x), 1e-12));
    line(g, p, steps, measured, { color: theme.blue, width: 2.4 });
  });
  legend(g, theme, p.left + 12, p.bottom - 32, [
    { color: theme.blue, text: "this path" },
    { color: theme.vermillion, dash: [7, 5], text: "rate of the theory" },
  ]);
}

function report({ kappa, alpha, x1, x2 }) {
  const [flat, steep] = factors(kappa, alpha);
  const rho = rate(kappa, alpha);
  const steps = stepsTo(kappa, alpha, [x1, x2], 0.01);
  const best = bestShare(kappa);
  const steepSays =
    Math.abs(steep) >= 1 ? "overshoots by as much or more each time, so that the path never arrives"
      : steep < -0.005 ? "jumps from one wall of the valley to the other"
        : steep > 0.005 ? "slides down smoothly" : "is finished after one step";
  return {
    values: {
      flat: fixed(flat, 3),
      steep: fixed(steep, 3),
      rate: fixed(rho, 3),
      steps: steps === Infinity ? "never" : String(steps),
    },
    sentence:
      `With a step of ${fixed(alpha, 2)}/L and κ = ${fmt(kappa)} the steep direction ${steepSays}. ` +
      (rho < 1
        ? `The distance shrinks by the factor ${fixed(rho, 3)} a step in the long run; the best ` +
          `step, ${fixed(best, 2)}/L, would make it ${fixed(rate(kappa, best), 3)}.`
        : rho > 1.0005
          ? "Beyond 2/L gradient descent diverges."
          : "At 2/L exactly it jumps to and fro for ever."),
  };
}
