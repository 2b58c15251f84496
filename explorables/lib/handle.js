/**
 * A point of the picture that can be dragged: by mouse, pen or finger, and by the arrow keys.
 *
 * @param {HTMLElement} stage
 * @param {{
 *   label: string,
 *   drag: (x: number, y: number) => void,
 *   nudge: (right: number, up: number) => void,
 *   color?: string,
 * }} options `drag` gets a place in the stage, `nudge` steps of 1, with Shift of 10
 */
export function handle(stage, { label, drag, nudge, color = "vermillion" }) {
  const knob = document.createElement("div");
  knob.className = "explorable-handle";
  knob.tabIndex = 0;
  knob.style.setProperty("--x-handle", `var(--x-${color})`);
  for (const [name, value] of [
    ["role", "slider"],
    ["aria-label", label],
    ["aria-roledescription", "movable point"],
    ["aria-valuenow", "0"],
  ]) {
    knob.setAttribute(name, value);
  }
  let grip = null;
  let now = { x: 0, y: 0, value: 0, text: "", shown: false };
  knob.addEventListener("pointerdown", (event) => {
    // On a slide the stage is shown larger or smaller than it is laid out.
    const scale = stage.clientWidth / stage.getBoundingClientRect().width;
    grip = { scale, x: now.x - scale * event.pageX, y: now.y - scale * event.pageY };
    knob.setPointerCapture(event.pointerId);
    knob.focus({ preventScroll: true, focusVisible: false });
    event.preventDefault();
  });
  knob.addEventListener("pointermove", ({ pageX, pageY }) => {
    if (grip) drag(grip.scale * pageX + grip.x, grip.scale * pageY + grip.y);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    knob.addEventListener(end, () => {
      grip = null;
    });
  }
  knob.addEventListener("keydown", (event) => {
    const direction = {
      ArrowRight: [1, 0],
      ArrowLeft: [-1, 0],
      ArrowUp: [0, 1],
      ArrowDown: [0, -1],
    }[event.key];
    if (!direction || event.altKey || event.ctrlKey || event.metaKey) return;
    const step = event.shiftKey ? 10 : 1;
    nudge(step * direction[0], step * direction[1]);
    event.preventDefault();
  });
  stage.append(knob);
  return {
    /**
     * Puts the point where it belongs, and says what it stands for.
     * @param {number} x @param {number} y @param {number} value @param {string} text
     * @param {boolean} [shown]
     */
    place(x, y, value, text, shown = true) {
      now = { x, y, value, text, shown };
    },
    /** Draws it. @param {CanvasRenderingContext2D} g @param {import("./color.js").Theme} theme */
    draw(g, theme) {
      if (!now.shown) return;
      for (const [radius, paint] of [[10.5, theme[color]], [9, theme.paper], [7, theme[color]]]) {
        g.beginPath();
        g.arc(now.x, now.y, radius, 0, 2 * Math.PI);
        g.fillStyle = paint;
        g.fill();
      }
    },
    /** Has the page's own point, which hand and keys take hold of, follow. */
    settle() {
      knob.style.visibility = now.shown ? "visible" : "hidden";
      knob.style.transform = `translate(${now.x.toFixed(1)}px, ${now.y.toFixed(1)}px)`;
      knob.setAttribute("aria-valuenow", String(+now.value.toPrecision(4)));
      knob.setAttribute("aria-valuetext", now.text);
    },
  };
}
