/** The surface in perspective with the path of training, turned by hand. */

import { viridis } from "../lib/color.js";
import { fixed, fmt } from "../lib/format.js";
import { say } from "../lib/plot.js";
import { bilinear, camera, heights, levels } from "./math.js";
import { buffers, clear, contours, paint, visible } from "./raster.js";

const TALL = 0.95; // height of the highest point, where the base is a square from −1 to 1
const DISTANCE = 6;
const SLACK = 0.06; // so much of a hill may lie before the path without hiding it
const PATH = "#d55e00";
// Pixels painted while the hand moves, and when it rests.
const QUICK = 6e4;
const FINE = 1.3e6;

// 32 brightnesses of 256 colours, as the bytes of an image lie in memory.
const PALETTE = new Uint32Array(32 * 256);
for (let light = 0; light < 32; light++) {
  for (let step = 0; step < 256; step++) {
    const [r, g, b] = viridis(step / 255, 0.62 + (0.5 * light) / 31);
    PALETTE[256 * light + step] = ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  }
}

/** @param {import("../lib/scene.js").Tools} tools @returns {import("../lib/scene.js").View} */
export function create({ data, get, set, redraw }) {
  const models = new Map();
  const picture = new OffscreenCanvas(1, 1);
  const ink = picture.getContext("2d");
  let pixels = null;
  let rest = 0;
  let moved = performance.now() - 1e4;

  function model(state) {
    const key = `${state.surface} ${state.height}`;
    if (!models.has(key)) {
      const surface = data.surfaces.find((item) => item.key === state.surface) ?? data.surfaces[0];
      models.set(key, prepare(surface, state.height === "log"));
    }
    return models.get(key);
  }

  /** Buffers for a picture of about so many pixels. */
  function room(width, height, count) {
    const scale = Math.min(Math.sqrt(count / (width * height)), 2);
    const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
    if (pixels?.width === w && pixels.height === h) clear(pixels);
    else {
      pixels = buffers(w, h);
      [picture.width, picture.height] = [w, h];
    }
    return w / width;
  }

  return {
    does: turning(get, set),
    draw(g, { width, height, state, theme, busy }) {
      const m = model(state);
      const quick = busy && performance.now() - moved < 250;
      moved = performance.now();
      clearTimeout(rest);
      if (busy) rest = setTimeout(redraw, 260);
      const view = camera(state.turn, state.tilt, DISTANCE);
      const unit = Math.min(width / 3.35, height / 2.9) * state.zoom;
      const [cx, cy] = [width / 2, height * 0.46];
      const put = (x, y, z) => {
        const [right, up, near] = view.project(x, y, z - TALL / 2);
        return [cx + unit * right, cy - unit * up, near];
      };
      const dense = room(width, height, quick ? QUICK : FINE);
      place(m, put, dense);
      paint(pixels, m, m.screen, PALETTE);
      const lines = m.marks.map((loss) => m.scale.at(loss));
      if (state.contours) contours(pixels, lines, 1.1 * dense);
      const image = new ImageData(
        new Uint8ClampedArray(pixels.color.buffer), pixels.width, pixels.height,
      );
      ink.putImageData(image, 0, 0);
      const trip = along(m, state.progress / 100);
      base(g, theme, put);
      g.drawImage(picture, 0, 0, width, height);
      names(g, theme, m, put, state.tilt);
      if (trip) drawPath(g, m, put, pixels, dense, trip);
      return report(m, state, trip);
    },
  };
}

/** What stays the same while the surface is turned. */
function prepare(surface, log) {
  const { alphas, betas, losses } = surface;
  const [rows, columns] = [alphas.length, betas.length];
  const scale = heights(losses, log);
  const place = (grid) => (value) => (2 * (value - grid[0])) / (grid.at(-1) - grid[0]) - 1;
  const [px, py] = [place(alphas), place(betas)];
  const [xs, ys] = [alphas.map(px), betas.map(py)];
  const height = Float32Array.from(losses.flat(), scale.at);
  const light = new Float32Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const [a, b] = [Math.max(i - 1, 0), Math.min(i + 1, rows - 1)];
      const [c, d] = [Math.max(j - 1, 0), Math.min(j + 1, columns - 1)];
      const rise = (k, l) => TALL * (height[k] - height[l]);
      const slopeX = rise(b * columns + j, a * columns + j) / (xs[b] - xs[a]);
      const slopeY = rise(i * columns + d, i * columns + c) / (ys[d] - ys[c]);
      // From the left above, fixed to the surface.
      const facing = (0.5 * slopeX - 0.35 * slopeY + 0.79) / Math.hypot(slopeX, slopeY, 1);
      light[i * columns + j] = Math.min(Math.max(0.15 + 0.85 * facing, 0), 1);
    }
  }
  const points = surface.path.map(([a, b, loss]) => ({
    a,
    b,
    loss,
    x: px(a),
    y: py(b),
    z: TALL * Math.min(Math.max(scale.at(loss), -0.2), 1.2),
  }));
  const marks = levels(scale.low, scale.high, log);
  const screen = new Float32Array(3 * rows * columns);
  return { surface, log, scale, rows, columns, xs, ys, height, light, screen, points, marks };
}

/** Projects the mesh to pixels of the picture. */
function place({ rows, columns, xs, ys, height, screen }, put, dense) {
  for (let i = 0, k = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++, k++) {
      const [x, y, near] = put(xs[i], ys[j], TALL * height[k]);
      screen[3 * k] = x * dense;
      screen[3 * k + 1] = y * dense;
      screen[3 * k + 2] = near;
    }
  }
}

/** The part of the path that has been walked: whole points, and the place between two. */
function along(m, share) {
  const { points } = m;
  if (!points.length) return null;
  const place = share * (points.length - 1);
  const k = Math.min(Math.floor(place), points.length - 1);
  const next = points[Math.min(k + 1, points.length - 1)];
  const t = place - k;
  const mix = (name) => (1 - t) * points[k][name] + t * next[name];
  const head = Object.fromEntries(["a", "b", "x", "y", "z"].map((name) => [name, mix(name)]));
  head.loss = Math.exp((1 - t) * Math.log(points[k].loss) + t * Math.log(next.loss));
  const { alphas, betas, losses } = m.surface;
  head.inside = Math.abs(head.x) <= 1.001 && Math.abs(head.y) <= 1.001;
  head.below = bilinear(alphas, betas, losses, head.a, head.b);
  return { k, head };
}

/** The path walked so far, faint where a hill hides it; and where it has come to. */
function drawPath(g, m, put, pixels, dense, { k, head }) {
  const reach = [...m.points.slice(0, k + 1), head].map((p) => put(p.x, p.y, p.z));
  const seen = reach.map(([x, y, near]) => visible(pixels, x * dense, y * dense, near, SLACK));
  g.save();
  g.lineJoin = g.lineCap = "round";
  for (const [color, width] of [["#ffffff", 5], [PATH, 2.8]]) {
    for (const shown of [false, true]) {
      g.beginPath();
      for (let n = 1; n < reach.length; n++) {
        if ((seen[n] || seen[n - 1]) !== shown) continue;
        g.moveTo(reach[n - 1][0], reach[n - 1][1]);
        g.lineTo(reach[n][0], reach[n][1]);
      }
      g.strokeStyle = color;
      g.lineWidth = shown ? width : width / 2;
      g.globalAlpha = shown ? 1 : 0.45;
      g.stroke();
    }
  }
  g.restore();
  const [x, y] = put(head.x, head.y, head.z);
  g.strokeStyle = "#ffffff";
  if (head.inside) {
    const [fx, fy] = put(head.x, head.y, TALL * m.scale.at(head.below));
    g.lineWidth = 1.5;
    g.beginPath();
    g.moveTo(x, y);
    g.lineTo(fx, fy);
    g.stroke();
  }
  g.beginPath();
  g.arc(x, y, 6, 0, 2 * Math.PI);
  g.fillStyle = PATH;
  g.fill();
  g.lineWidth = 2;
  g.stroke();
}

const CORNERS = [[-1, -1], [1, -1], [1, 1], [-1, 1]];

/** The edges of the base. */
function base(g, theme, put) {
  g.save();
  g.strokeStyle = theme.rule;
  g.lineWidth = 1;
  g.beginPath();
  CORNERS.forEach(([x, y], k) => g[k ? "lineTo" : "moveTo"](...put(x, y, 0).slice(0, 2)));
  g.closePath();
  g.stroke();
  g.restore();
}

/** The coordinates along the near edges, and the heights at the corner farthest left. */
function names(g, theme, m, put, tilt) {
  const { surface, scale, marks } = m;
  const nearness = ([x, y]) => put(x, y, 0)[2];
  const nearY = nearness([0, -1]) > nearness([0, 1]) ? -1 : 1;
  const nearX = nearness([-1, 0]) > nearness([1, 0]) ? -1 : 1;
  const sides = [
    { grid: surface.alphas, at: (u, by) => [u, nearY * (1 + by)], name: surface.axes[0] },
    { grid: surface.betas, at: (u, by) => [nearX * (1 + by), u], name: surface.axes[1] },
  ];
  for (const { grid, at, name } of sides) {
    for (const u of [-1, 0, 1]) {
      const value = grid[0] + ((0.92 * u + 1) / 2) * (grid.at(-1) - grid[0]);
      const [x, y] = put(...at(0.92 * u, 0.13), 0);
      say(g, theme, fixed(value, 1), x, y, { align: "center", color: theme.muted, size: 12, halo: theme.paper });
    }
    const [x, y] = put(...at(0.5, 0.3), 0);
    say(g, theme, name, x, y, { align: "center", size: 14, halo: theme.paper });
  }
  if (tilt > 72) return;
  const [left] = CORNERS.map((corner) => ({ corner, x: put(...corner, 0)[0] }))
    .sort((p, q) => p.x - q.x);
  const [x, y] = left.corner;
  g.save();
  g.strokeStyle = theme.muted;
  g.lineWidth = 1;
  g.beginPath();
  g.moveTo(...put(x, y, 0).slice(0, 2));
  g.lineTo(...put(x, y, TALL).slice(0, 2));
  g.stroke();
  g.restore();
  let last = Infinity;
  for (const level of marks) {
    const [px, py] = put(x, y, TALL * scale.at(level));
    if (Math.abs(py - last) < 14) continue;
    last = py;
    say(g, theme, fmt(level, 2), px - 5, py, { align: "right", color: theme.muted, size: 12 });
  }
  const [px, py] = put(x, y, TALL);
  say(g, theme, "loss", px, py - 12, { align: "center", size: 14 });
}

function report(m, state, trip) {
  const { scale, surface, log } = m;
  const low = fmt(scale.low, 3);
  const high = fmt(scale.high, 3);
  const seen = state.tilt > 80 ? "from above" : `from ${fixed(state.tilt, 0)}° above the horizon`;
  const parts = [
    `${capital(surface.name)}, seen ${seen}: the surface lies between ${low} and ${high}, with ` +
      `heights ${log ? "on a logarithmic scale" : "as they are"}.`,
  ];
  if (trip) {
    const { loss, below, inside } = trip.head;
    const where = inside
      ? `the surface there is at ${fmt(below)}`
      : "which is outside the part of the plane that is shown";
    parts.push(`After ${fixed(state.progress, 0)} % of the path its loss is ${fmt(loss)}; ${where}.`);
  } else {
    parts.push("Nothing is known of a path here.");
  }
  return {
    values: {
      path: trip ? fmt(trip.head.loss) : "–",
      surface: trip?.head.inside ? fmt(trip.head.below) : "–",
      range: `${low} … ${high}`,
    },
    sentence: parts.join(" "),
  };
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);

/** Dragging turns and tilts; so do the keys, and two of them bring nearer and farther. */
function turning(get, set) {
  const round = (turn) => ((((turn + 180) % 360) + 360) % 360) - 180;
  const keys = {
    ArrowLeft: ({ turn }, step) => ({ turn: round(turn - step) }),
    ArrowRight: ({ turn }, step) => ({ turn: round(turn + step) }),
    ArrowUp: ({ tilt }, step) => ({ tilt: tilt - step }),
    ArrowDown: ({ tilt }, step) => ({ tilt: tilt + step }),
    "+": ({ zoom }) => ({ zoom: zoom * 1.1 }),
    "-": ({ zoom }) => ({ zoom: zoom / 1.1 }),
  };
  let from = null;
  return {
    take() {
      const { turn, tilt } = get();
      from = { turn, tilt };
    },
    turn(across, down) {
      set({ turn: round(from.turn + 0.5 * across), tilt: from.tilt + 0.4 * down });
    },
    key: (name, step) => set(keys[name](get(), step)),
  };
}
