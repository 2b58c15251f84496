/** Follow one output or one pixel through a convolution and its matrix. */

import { fmt } from "../lib/format.js";
import { say } from "../lib/plot.js";
import { IMAGE, KERNELS, OUT, SIDE, WINDOW, correlate, toeplitz } from "./math.js";

const short = (x) => String(+x.toFixed(2)).replace("-", "−");

/** @returns {import("../lib/scene.js").View} */
export function create() {
  return {
    draw(g, { width, height, state, theme }) {
      const kernel = KERNELS[state.kernel];
      const matrix = toeplitz(kernel);
      const outputs = correlate(IMAGE, kernel);
      const seen = state.look === "row" ? rowMarks(matrix, state.place) : columnMarks(matrix, state.pixel);
      const wide = width >= 520;
      const side = wide ? Math.min(width * 0.3, height * 0.56) : Math.min(width * 0.47, height * 0.46);
      const image = { x: 4, y: 24, size: side / SIDE };
      const output = wide
        ? { x: 4, y: 24 + side + 30, size: Math.min((height - side - 62) / OUT, side / SIDE) }
        : { x: side + 26, y: 24, size: side / SIDE };
      picture(g, theme, image, SIDE, IMAGE, "the image", [0, 1], seen.pixels);
      const most = Math.max(...outputs.map(Math.abs), 1e-9);
      picture(g, theme, output, OUT, outputs, "the output", [Math.min(0, ...outputs), most], seen.outputs);
      const left = wide ? side + 34 : 4;
      const top = wide ? 24 : side + 64;
      const size = Math.min((width - left - 4) / (SIDE * SIDE), (height - top - 6) / (OUT * OUT));
      grid(g, theme, { x: left, y: top, size }, matrix, state);
      return report(matrix, outputs, kernel, state);
    },
  };
}

/** What is lit: for each pixel and output the factor that joins it to what is followed. */
const rowMarks = (matrix, place) => ({
  pixels: matrix[place],
  outputs: matrix.map((_, k) => (k === place ? 1 : 0)),
});
const columnMarks = (matrix, pixel) => ({
  pixels: matrix[0].map((_, k) => (k === pixel ? 1 : 0)),
  outputs: matrix.map((row) => row[pixel]),
});

function picture(g, theme, { x, y, size }, side, values, title, [low, high], marks) {
  say(g, theme, title, x, y - 12, { size: 14 });
  const factors = marks.filter(Boolean).length > 1;
  values.forEach((value, k) => {
    const [cx, cy] = [x + (k % side) * size, y + Math.floor(k / side) * size];
    const shade = Math.round(40 + 190 * Math.min(Math.max((value - low) / (high - low), 0), 1));
    g.fillStyle = `rgb(${shade} ${shade} ${shade})`;
    g.fillRect(cx, cy, size - 1, size - 1);
    if (!marks[k]) return;
    g.strokeStyle = theme.vermillion;
    g.lineWidth = 3;
    g.strokeRect(cx + 1, cy + 1, size - 3, size - 3);
    if (size > 20) {
      say(g, theme, factors ? short(marks[k]) : short(value), cx + size / 2 - 0.5, cy + size / 2, {
        align: "center", size: 12, color: shade > 128 ? "#000000" : "#ffffff",
      });
    }
  });
}

function grid(g, theme, { x, y, size }, matrix, { look, place, pixel }) {
  say(g, theme, "the matrix: a row for each output, a column for each pixel", x, y - 12, { size: 13 });
  const most = Math.max(...matrix.flat().map(Math.abs));
  matrix.forEach((row, i) => {
    row.forEach((value, j) => {
      g.globalAlpha = value ? 0.35 + (0.65 * Math.abs(value)) / most : 1;
      g.fillStyle = value > 0 ? theme.blue : value < 0 ? theme.purple : theme.surface;
      g.fillRect(x + j * size, y + i * size, size - 0.6, size - 0.6);
    });
  });
  g.globalAlpha = 1;
  g.strokeStyle = theme.vermillion;
  g.lineWidth = 2.5;
  if (look === "row") g.strokeRect(x - 1, y + place * size - 1, SIDE * SIDE * size + 1, size + 1);
  else g.strokeRect(x + pixel * size - 1, y - 1, size + 1, OUT * OUT * size + 1);
}

function report(matrix, outputs, kernel, { look, place, pixel }) {
  const [i, j] = [Math.floor(place / OUT), place % OUT];
  const column = matrix.map((row) => row[pixel]).filter(Boolean).length;
  const different = new Set(kernel.filter(Boolean)).size;
  const [a, b] = [Math.floor(pixel / SIDE), pixel % SIDE];
  return {
    values: {
      output: fmt(outputs[place]),
      row: `${place} = ${OUT} · ${i} + ${j}`,
      entries: `${matrix.flat().filter(Boolean).length} of ${matrix.length * matrix[0].length}`,
      numbers: String(different),
    },
    sentence:
      look === "row"
        ? `Output (${i}, ${j}) is row ${place} of the matrix times the image: the kernel’s ` +
          `${WINDOW * WINDOW} numbers at the window’s pixels, zeros elsewhere, and the sum is ${fmt(outputs[place])}.`
        : `Pixel (${a}, ${b}) is column ${pixel}: it acts on ${column} output${column === 1 ? "" : "s"}, ` +
          "and folded into the output its column is the kernel upside down and mirrored.",
  };
}
