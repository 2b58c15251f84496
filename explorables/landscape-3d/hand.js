/** On the page: the picture is turned by hand (on a touch screen, up and down scroll) and by keys. */

const KEYS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "+", "-"];

/** @param {HTMLCanvasElement} canvas @param {import("../lib/handle.js").Tell} tell */
export function take(canvas, tell) {
  canvas.tabIndex = 0;
  canvas.style.touchAction = "pan-y pinch-zoom";
  canvas.style.cursor = "grab";
  let from = null;
  canvas.addEventListener("pointerdown", ({ clientX: x, clientY: y, pointerType, pointerId }) => {
    // A finger may be about to scroll.
    from = { x, y, started: pointerType !== "touch" };
    tell("do", "take");
    canvas.setPointerCapture(pointerId);
  });
  canvas.addEventListener("pointermove", ({ clientX, clientY }) => {
    if (!from) return;
    const [across, down] = [clientX - from.x, clientY - from.y];
    from.started ||= Math.abs(across) > 3 && Math.abs(across) > Math.abs(down);
    if (from.started) tell("do", "turn", across, down);
  });
  canvas.addEventListener("pointerup", () => {
    from = null;
  });
  canvas.addEventListener("pointercancel", () => {
    if (from?.started) tell("do", "turn", 0, 0);
    from = null;
  });
  canvas.addEventListener("keydown", (event) => {
    if (!KEYS.includes(event.key) || event.altKey || event.ctrlKey || event.metaKey) return;
    tell("do", "key", event.key, event.shiftKey ? 15 : 3);
    event.preventDefault();
  });
}
