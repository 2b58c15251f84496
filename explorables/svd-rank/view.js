/** Truncate a matrix to a rank, and see what is lost. */

import { fixed, fmt, raised } from "../lib/format.js";
import { axes, dot, inside, line, say } from "../lib/plot.js";
import { SIDE, errors, matrix, rankFor, svdBySweeps, truncate } from "./math.js";

/** A matrix with all that is asked of it; pauses. */
function* decompose(name) {
  const rows = matrix(name);
  const all = rows.flat();
  return { all, low: Math.min(...all), high: Math.max(...all), ...(yield* svdBySweeps(rows)) };
}

/** @param {import("../lib/scene.js").Tools} tools @returns {import("../lib/scene.js").View} */
export function create({ choices }) {
  const names = choices("matrix");
  const works = new Map(names.map((name) => [name, decompose(name)]));
  const known = new Map();
  let [painted, from] = [null, null];
  const pictures = [0, 1].map(() => new OffscreenCanvas(SIDE, SIDE));
  /** Works a little on a matrix. */
  function step(name) {
    const { done, value } = works.get(name).next();
    if (done) known.set(name, value);
  }
  function decomposed(name) {
    while (!known.has(name)) step(name);
    return known.get(name);
  }
  // The others beforehand, a little at a time: what the reader does comes between.
  function prepare() {
    const next = names.find((name) => !known.has(name));
    if (!next) return;
    step(next);
    setTimeout(prepare);
  }
  setTimeout(prepare);
  return {
    draw(g, { width, height, state, theme }) {
      const m = decomposed(state.matrix);
      // Few ranks lie between one frame and the next.
      const near = truncate(m, state.rank, painted === m ? from : undefined);
      from = { sum: near, rank: state.rank };
      const shown = state.difference ? near.map((x, k) => m.all[k] - x + (m.low + m.high) / 2) : near;
      if (painted !== m) grey(pictures[0], m.all, m);
      grey(pictures[1], shown, m);
      painted = m;
      const wide = width >= 520;
      const side = wide ? Math.min(width * 0.31, height - 30) : Math.min(width * 0.485, height * 0.5);
      const top = wide ? (height - side) / 2 : 24;
      const gap = width * (wide ? 0.015 : 0.03);
      const names = ["all 64 ranks", state.difference ? `what rank ${state.rank} lacks` : `rank ${state.rank}`];
      g.imageSmoothingEnabled = false;
      pictures.forEach((picture, k) => {
        const x = k * (side + gap);
        g.drawImage(picture, x, top, side, side);
        say(g, theme, names[k], x + side / 2, top - 12, { align: "center", size: 14 });
      });
      const box = wide ? [2 * side + 2 * gap, 0, width, height] : [0, top + side + 4, width, height];
      spectrum(g, theme, box, m.s, state.rank);
      return report(m, state);
    },
  };
}

function grey(canvas, values, { low, high }) {
  const g = canvas.getContext("2d");
  const image = g.createImageData(SIDE, SIDE);
  const { data } = image;
  for (let k = 0, at = 0; k < values.length; k++) {
    const shade = (255 * (values[k] - low)) / (high - low);
    for (let channel = 0; channel < 3; channel++) data[at++] = shade;
    data[at++] = 255;
  }
  g.putImageData(image, 0, 0);
}

function spectrum(g, theme, box, s, rank) {
  const least = 1e-4;
  const p = axes(g, theme, {
    box, x: [0, 65], y: [least, 2], ylog: true, xlabel: "rank", ylabel: "σ over the largest",
    xticks: [1, 16, 32, 48, 64].map((k) => [k, String(k)]),
    yticks: [0, -1, -2, -3, -4].map((k) => [10 ** k, k ? `10${raised(k)}` : "1"]),
  });
  inside(g, p, () => {
    line(g, p, [rank + 0.5, rank + 0.5], [least, 2], { color: theme.muted, dash: [4, 4], width: 1.3 });
    s.forEach((value, k) => {
      const y = value / s[0];
      if (y < least) return;
      if (k < rank) dot(g, theme, p.sx(k + 1), p.sy(y), theme.blue, 4);
      else {
        g.beginPath();
        g.arc(p.sx(k + 1), p.sy(y), 2.6, 0, 2 * Math.PI);
        g.strokeStyle = theme.vermillion;
        g.lineWidth = 1.3;
        g.stroke();
      }
    });
  });
}

function report({ s }, { rank, difference }) {
  const error = errors(s)[rank];
  const [full, stored] = [SIDE * SIDE, rank * (2 * SIDE + 1)];
  const ten = rankFor(s, 0.1);
  const zero = error < 1e-12;
  return {
    values: {
      error: zero ? "0 %" : `${fmt(100 * error)} %`,
      kept: `${fixed(100 * (1 - error ** 2), error ** 2 < 0.001 && !zero ? 2 : 1)} %`,
      numbers: `${stored} of ${full}`,
      ten: String(ten),
    },
    sentence:
      `Rank ${rank} ${zero ? "gives the matrix exactly" : `misses ${fmt(100 * error)} % of the matrix`}, ` +
      `with ${stored} numbers ${stored < full ? `instead of ${full}` : `where ${full} would do`}. ` +
      `An error of ten per cent needs rank ${ten}` +
      (ten * (2 * SIDE + 1) > full ? ", which stores more than the matrix itself." : ".") +
      (difference ? " The second picture shows the difference, grey where there is none." : ""),
  };
}
