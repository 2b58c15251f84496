/** Drag the columns of a matrix; the plane follows. */

import { fixed } from "../lib/format.js";
import { arrow, axes, inside, line, say } from "../lib/plot.js";
import { apply, axesOf, determinant, eigen, singularValues } from "./math.js";

const CIRCLE = Array.from({ length: 121 }, (_, k) => {
  const t = (2 * Math.PI * k) / 120;
  return [Math.cos(t), Math.sin(t)];
});

/** @param {import("../lib/scene.js").Tools} tools @returns {import("../lib/scene.js").View} */
export function create({ get, set, handle }) {
  let plot = null;
  const round = (x) => Math.round(20 * x) / 20;
  const knobs = [["a", "c", "first", "vermillion"], ["b", "d", "second", "green"]].map(
    ([x, y, which, color]) => ({
      x,
      y,
      color,
      knob: handle({
        label: `The ${which} column, where the ${which} unit vector goes`,
        color,
        drag: (px, py) => set({ [x]: round(plot.ix(px)), [y]: round(plot.iy(py)), share: 100 }),
        nudge: (right, up) =>
          set({ [x]: get()[x] + 0.05 * right, [y]: get()[y] + 0.05 * up, share: 100 }),
      }),
    }),
  );
  return {
    draw(g, { width, height, state, theme }) {
      const m = [state.a, state.b, state.c, state.d];
      const t = state.share / 100;
      const now = m.map((x, k) => (1 - t) * Number(k === 0 || k === 3) + t * x);
      const reach = 2.6;
      const wide = (reach * (width - 50)) / (height - 34);
      plot = axes(g, theme, {
        box: [0, 0, width, height], x: [-wide, wide], y: [-reach, reach], grid: false,
      });
      inside(g, plot, () => {
        grid(g, theme, plot, now);
        shape(g, plot, CIRCLE.map((x) => apply(now, x)), { color: theme.blue, width: 2.2, fill: `${theme.blue}22` });
        if (state.singular) halfAxes(g, theme, plot, m, now);
        if (state.eigen) kept(g, theme, plot, m, now);
        for (const { x, y, color } of knobs) {
          const column = color === "vermillion" ? [now[0], now[2]] : [now[1], now[3]];
          arrow(g, plot.sx(0), plot.sy(0), plot.sx(column[0]), plot.sy(column[1]), theme[color], 2.4);
        }
      });
      for (const { x, y, knob } of knobs) {
        const place = x === "a" ? [now[0], now[2]] : [now[1], now[3]];
        knob.place(
          plot.sx(place[0]), plot.sy(place[1]), state[x],
          `${fixed(state[x], 2)} across, ${fixed(state[y], 2)} up`,
        );
      }
      return report(m, state.share);
    },
  };
}

function shape(g, p, points, look) {
  if (look.fill) {
    g.beginPath();
    points.forEach(([x, y], k) => g[k ? "lineTo" : "moveTo"](p.sx(x), p.sy(y)));
    g.fillStyle = look.fill;
    g.fill();
  }
  line(g, p, points.map(([x]) => x), points.map(([, y]) => y), { ...look, fill: undefined });
}

function grid(g, theme, p, m) {
  for (let k = -8; k <= 8; k++) {
    for (const ends of [[[k, -8], [k, 8]], [[-8, k], [8, k]]]) {
      shape(g, p, ends.map((x) => apply(m, x)), { color: k ? theme.rule : theme.muted, width: k ? 1 : 1.4 });
    }
  }
}

function halfAxes(g, theme, p, m, now) {
  for (const v of axesOf(m).v) {
    shape(g, p, [[0, 0], apply(now, v)], { color: theme.ink, width: 3, dash: [2, 4] });
  }
}

function kept(g, theme, p, m, now) {
  const { real, values, vectors } = eigen(m);
  if (!real) return;
  vectors.forEach((direction, k) => {
    const up = direction[1] < 0 || (direction[1] === 0 && direction[0] < 0) ? -1 : 1;
    const v = direction.map((x) => up * x);
    shape(g, p, [v.map((x) => -9 * x), v.map((x) => 9 * x)], {
      color: theme.purple, width: 1.8, dash: [8, 5],
    });
    const [x, y] = apply(now, v);
    arrow(g, p.sx(0), p.sy(0), p.sx(x), p.sy(y), theme.purple, 2);
    const left = x < 0 ? p.sx(x) > p.left + 70 : p.sx(x) > p.right - 70;
    say(g, theme, `λ = ${fixed(values[k], 2)}`, p.sx(x), p.sy(y) - 14, {
      color: theme.purple, halo: theme.paper, align: left ? "right" : "left",
    });
  });
}

function report(m, share) {
  const [long, short] = singularValues(m);
  const { real, values } = eigen(m);
  const det = determinant(m);
  const [a, b, c, d] = m.map((x) => fixed(x, 2));
  const kinds = [
    Math.abs(det) < 1e-9
      ? "the plane collapses onto a line, and nothing brings it back"
      : `areas are multiplied by ${fixed(Math.abs(det), 2)}${det < 0 ? " and turned over" : ""}`,
    real
      ? Math.abs(values[0] - values[1]) < 1e-9
        ? "both eigenvalues are the same"
        : `two lines through the origin are kept, stretched by ${fixed(values[0], 2)} and ${fixed(values[1], 2)}`
      : "no line through the origin is kept: everything turns",
  ];
  return {
    values: {
      matrix: `${a}  ${b} ;  ${c}  ${d}`,
      singular: `${fixed(long, 2)} and ${fixed(short, 2)}`,
      eigen: real
        ? `${fixed(values[0], 2)} and ${fixed(values[1], 2)}`
        : `${fixed(values[0], 2)} ± ${fixed(values[1], 2)} i`,
      det: fixed(det, 2),
    },
    sentence:
      `The unit circle becomes an ellipse with half axes ${fixed(long, 2)} and ${fixed(short, 2)}; ` +
      `${kinds[0]}; ${kinds[1]}.` +
      (share < 100 ? ` Shown is the way there, at ${fixed(share, 0)} %.` : ""),
  };
}
