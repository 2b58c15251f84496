/** Five optimizers from one start that the reader moves. */

import { fixed, fmt } from "../lib/format.js";
import { axes, dot, inside, kept, legend, line, panels, say } from "../lib/plot.js";
import { levelLines } from "./levels.js";
import { RIVALS, SURFACES, tune, walk } from "./math.js";

const MOST = 300;
const STEPS = Float64Array.from({ length: MOST + 1 }, (_, k) => k);
const NAMES = {
  descent: "gradient descent", momentum: "momentum", rmsprop: "RMSprop", adam: "Adam", lion: "Lion",
};
const DASHES = { descent: [], momentum: [9, 4], rmsprop: [2, 3], adam: [10, 3, 2, 3], lion: [4, 3] };
const COLORS = {
  descent: "blue", momentum: "vermillion", rmsprop: "green", adam: "purple", lion: "orange",
};

/** @param {import("../lib/scene.js").Tools} tools @returns {import("../lib/scene.js").View} */
export function create({ get, set, handle }) {
  let plot = null;
  // Filled anew by every race.
  const all = RIVALS.map((rival) => {
    const [xs, ys, heights] = Array.from({ length: 3 }, () => new Float64Array(MOST + 1));
    return { rival, xs, ys, heights, rate: undefined, needed: Infinity };
  });
  let run = "";
  const knob = handle({
    label: "Start of the race",
    color: "ink",
    drag: (x, y) => set({ x: plot.ix(x), y: plot.iy(y) }),
    nudge: (right, up) => set({ x: get().x + 0.02 * right, y: get().y + 0.02 * up }),
  });

  /** Has all five run, if start, surface or step sizes have changed. */
  function race({ surface, steps, lr, x, y }) {
    const key = [surface, steps, steps === "same" ? lr : "", x, y].join();
    if (run === key) return;
    run = key;
    const { f } = SURFACES[surface];
    const down = surface === "saddle";
    const arrived = down ? (height) => height < -1 : (height) => height <= 0.01;
    for (const one of all) {
      const { rival, xs, ys, heights } = one;
      // From a start nearby the same step size is likely to be the best.
      one.rate = steps === "same" ? lr : tune(surface, rival, [x, y], MOST, one.rate).lr;
      walk(surface, rival, one.rate, [x, y], MOST, false, xs, ys);
      for (let k = 0; k <= MOST; k++) {
        const height = f(xs[k], ys[k]);
        heights[k] = down ? height : Math.max(height, 1e-12); // as low as the picture's scale goes
      }
      const first = heights.findIndex(arrived);
      one.needed = first === -1 ? Infinity : first;
    }
  }

  return {
    draw(g, { width, height, state, theme }) {
      race(state);
      const [left, right] = panels(width, height, 0.55, 0.55);
      const [x0, x1, y0, y1] = SURFACES[state.surface].window;
      plot = axes(g, theme, { box: left, x: [x0, x1], y: [y0, y1], xlabel: "x₁", ylabel: "x₂", grid: false });
      kept(g, theme, state.surface, [0, 0, width, height], (ink) => {
        ink.strokeStyle = theme.rule;
        ink.lineWidth = 1.1;
        ink.stroke(surfaceLines(plot, state.surface));
      });
      inside(g, plot, () => {
        const [gx, gy] = SURFACES[state.surface].goal;
        say(g, theme, state.surface === "saddle" ? "○" : "★", plot.sx(gx), plot.sy(gy), { align: "center", size: 18 });
        for (const { rival, xs, ys } of all) {
          const color = theme[COLORS[rival]];
          const [x, y] = [xs, ys].map((values) => values.subarray(0, state.shown + 1));
          line(g, plot, x, y, { color, dash: DASHES[rival], width: 2.1 });
          dot(g, theme, plot.sx(x.at(-1)), plot.sy(y.at(-1)), color, 5);
        }
      });
      knob.place(plot.sx(state.x), plot.sy(state.y), state.x, `x₁ ${fixed(state.x, 2)}, x₂ ${fixed(state.y, 2)}`);
      progress(g, theme, right, all, state);
      return report(all, state);
    },
  };
}

function surfaceLines(plot, surface) {
  const { f } = SURFACES[surface];
  const heights = surface === "saddle"
    ? [-0.8, -0.5, -0.3, -0.15, -0.05, 0, 0.05, 0.15, 0.3, 0.5, 0.8, 1.1]
    : Array.from({ length: 12 }, (_, k) => 0.02 * 2.6 ** k);
  return levelLines(plot, f, heights);
}

function progress(g, theme, box, all, { surface, shown }) {
  const down = surface === "saddle";
  const p = axes(g, theme, {
    box, x: [0, MOST], xlabel: "step",
    ...(down
      ? { y: [-1.4, 1.4], ylabel: "height f" }
      : { y: [1e-8, 1e3], ylog: true, ylabel: "height above the minimum" }),
  });
  inside(g, p, () => {
    if (!down) line(g, p, [0, MOST], [0.01, 0.01], { color: theme.muted, dash: [2, 4], width: 1.2 });
    for (const { rival, heights } of all) {
      line(g, p, STEPS.subarray(0, shown + 1), heights, { color: theme[COLORS[rival]], dash: DASHES[rival], width: 2 });
    }
  });
  legend(g, theme, p.left + 12, p.bottom - 88, all.map(({ rival }) => ({
    color: theme[COLORS[rival]], dash: DASHES[rival], text: NAMES[rival],
  })));
}

function report(all, { surface, steps }) {
  const values = {};
  for (const { rival, rate, needed } of all) {
    values[rival] = `${needed === Infinity ? `> ${MOST}` : needed} at ${fmt(rate, 2)}`;
  }
  const arrived = all.filter(({ needed }) => needed < Infinity).sort((a, b) => a.needed - b.needed);
  const goal = surface === "saddle" ? "fall below −1" : "come within 0.01 of the minimum";
  const first = arrived[0];
  const last = all.filter(({ needed }) => needed === Infinity).map(({ rival }) => NAMES[rival]);
  return {
    values,
    sentence:
      (first
        ? `${capital(NAMES[first.rival])} is the first to ${goal}, after ${first.needed} steps` +
          (arrived.length > 1 ? `, then ${NAMES[arrived[1].rival]} after ${arrived[1].needed}. ` : ". ")
        : `In ${MOST} steps nobody manages to ${goal}. `) +
      (last.length && first ? `Not in ${MOST} steps: ${last.join(", ")}. ` : "") +
      (steps === "tuned" && surface !== "saddle"
        ? "Each has its best of sixteen step sizes, for this very start."
        : steps === "tuned" ? "On a saddle the longest step wins, so the step sizes are given." : "All have the same step size."),
  };
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);
