/** On the page: a click on the plane sets the point. */

/** @param {HTMLCanvasElement} canvas @param {import("../lib/handle.js").Tell} tell */
export function take(canvas, tell) {
  canvas.addEventListener("click", ({ offsetX, offsetY }) => tell("do", "press", offsetX, offsetY));
}
