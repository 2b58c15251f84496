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
  let offset = null;
  let now = { x: 0, y: 0, value: 0, text: "", shown: false };
  knob.addEventListener("pointerdown", (event) => {
    const [x, y] = within(stage, event);
    const box = knob.getBoundingClientRect();
    const middle = { clientX: box.x + box.width / 2, clientY: box.y + box.height / 2 };
    const at = within(stage, middle);
    offset = [x - at[0], y - at[1]];
    knob.setPointerCapture(event.pointerId);
    knob.focus({ preventScroll: true, focusVisible: false });
    event.preventDefault();
  });
  knob.addEventListener("pointermove", (event) => {
    if (!offset) return;
    const [x, y] = within(stage, event);
    drag(x - offset[0], y - offset[1]);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    knob.addEventListener(end, () => {
      offset = null;
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

/** Where in the stage an event is; on a slide the stage is shown larger or smaller than laid out. */
function within(stage, { clientX, clientY }) {
  const { x, y, width } = stage.getBoundingClientRect();
  const scale = stage.clientWidth / width;
  return [scale * (clientX - x), scale * (clientY - y)];
}
