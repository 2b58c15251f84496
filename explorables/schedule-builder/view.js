/** Five knots to move; the bowl judges the plan. */

import { fixed, fmt } from "../lib/format.js";
import { axes, inside, legend, line, panels } from "../lib/plot.js";
import { STEPS, losses, plan, sums } from "./math.js";

const TIMES = Array.from({ length: STEPS + 1 }, (_, t) => t);
const NAMES = ["flat", "middle", "steep"];

/** @param {import("../lib/scene.js").Tools} tools @returns {import("../lib/scene.js").View} */
export function create({ data, get, set, handle }) {
  let plot = null;
  const total = (parts) => parts.reduce((sum, part) => sum + part, 0);
  const least = data.least;

  /** A knot between its neighbours. */
  function move(k, time, rate) {
    const state = get();
    const change = { [`r${k}`]: Math.round(1000 * Math.max(rate, 0)) / 1000 / state.scale };
    if (k > 0 && k < 4) {
      const at = [0, state.t1, state.t2, state.t3, STEPS];
      change[`t${k}`] = Math.round(Math.min(Math.max(time, at[k - 1] + 1), at[k + 1] - 1));
    }
    set(change);
  }

  const times = (state) => [0, state.t1, state.t2, state.t3, STEPS];
  const knobs = [0, 1, 2, 3, 4].map((k) =>
    handle({
      label: `Knot ${k + 1} of 5`,
      color: "blue",
      drag: (x, y) => move(k, plot.ix(x), plot.iy(y)),
      nudge: (right, up) => {
        const state = get();
        move(k, times(state)[k] + right, state[`r${k}`] * state.scale + 0.005 * up);
      },
    }),
  );

  return {
    draw(g, { width, height, state, theme }) {
      const knots = times(state).map((t, k) => [t, state[`r${k}`] * state.scale]);
      const rates = plan(knots);
      const course = losses(rates);
      const [left, right] = panels(width, height, 0.54, 0.52);
      plot = axes(g, theme, {
        box: left, x: [0, STEPS], y: [0, 0.62], xlabel: "step t", ylabel: "step size α",
      });
      inside(g, plot, () => {
        if (state.best) {
          line(g, plot, TIMES.slice(0, -1), data.best, { color: theme.muted, dash: [2, 4], width: 2 });
        }
        line(g, plot, TIMES.slice(0, -1), rates, { color: theme.blue, width: 2.4 });
      });
      knots.forEach(([t, rate], k) => {
        const y = Math.max(plot.sy(rate), plot.top);
        knobs[k].place(plot.sx(t), y, rate, `step ${t}, step size ${fmt(rate)}`);
      });
      judge(g, theme, right, course);
      const end = course.at(-1);
      return report(rates, end, total(end) / least);
    },
  };
}

function judge(g, theme, box, course) {
  const p = axes(g, theme, {
    box, x: [0, STEPS], y: [1e-4, 10], ylog: true, xlabel: "step t", ylabel: "expected loss",
  });
  const looks = [
    { color: theme.vermillion, dash: [8, 5], text: NAMES[0] },
    { color: theme.green, dash: [2, 4], text: NAMES[1] },
    { color: theme.purple, dash: [9, 3, 2, 3], text: NAMES[2] },
  ];
  inside(g, p, () => {
    line(g, p, TIMES, course.map((parts) => parts[0] + parts[1] + parts[2]), {
      color: theme.blue, width: 2.6,
    });
    looks.forEach(({ color, dash }, i) => {
      line(g, p, TIMES, course.map((parts) => parts[i]), { color, dash, width: 2 });
    });
  });
  legend(g, theme, p.right - 100, p.top + 12, [{ color: theme.blue, text: "sum" }, ...looks]);
}

function report(rates, end, ratio) {
  const { S, Q } = sums(rates);
  const sum = end[0] + end[1] + end[2];
  const most = end.indexOf(Math.max(...end));
  const why =
    ratio > 1e3 ? "The plan diverges: somewhere the step size is beyond the window of the steep direction."
      : ratio < 1.03 ? "It is as good as the best plan, to the eye."
        : most === 0
          ? "Most of what is left lies in the flat direction: the plan has not come far enough."
          : "Most of what is left is noise in the steeper directions: the plan ends too fast.";
  return {
    values: {
      loss: fmt(ratio),
      parts: end.map((part) => `${fixed((100 * part) / sum, 0)} %`).join(", "),
      S: fmt(S),
      Q: fmt(Q),
    },
    sentence:
      `The plan ends with ${fmt(ratio)} times the loss of the best one; ` +
      `${fixed((100 * end[most]) / sum, 0)} % of it in the ${NAMES[most]} direction. ${why}`,
  };
}
