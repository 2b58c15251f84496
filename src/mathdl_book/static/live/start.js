/*
 * The buttons below each code cell. They load the rest when one of them is pressed: a classic
 * script, since browsers refuse modules on pages opened as files, and small, since every page with
 * code loads it.
 */
(() => {
  const { version } = document.currentScript.dataset;
  const bars = [...document.querySelectorAll(".live-bar")];
  if (location.protocol === "file:") {
    const note = document.createElement("span");
    note.className = "live-status";
    note.textContent =
      "Cells run in the page when it comes from a server: run “python -m http.server” in the " +
      "book’s folder and open http://localhost:8000.";
    bars[0]?.append(note);
    return;
  }
  let edits = {};
  try {
    edits = JSON.parse(localStorage.getItem(`mathdl-live:${location.pathname}`)) ?? {};
  } catch {
    // Nothing is kept, or may be.
  }
  let library;
  async function press(action, bar) {
    const status = bar.querySelector(".live-status");
    try {
      if (!library) status.textContent = "Loading…";
      library ??= import(`./live.js?v=${version}`);
      (await library).press(action, bar);
    } catch (error) {
      library = undefined;
      status.textContent = "This could not be loaded; try again when the network is back.";
      console.error(error);
    }
  }
  function button(bar, action, text, title) {
    const made = document.createElement("button");
    made.type = "button";
    made.className = `live-${action}`;
    made.textContent = text;
    made.title = title;
    made.addEventListener("click", () => press(action, bar));
    bar.append(made);
    return made;
  }
  for (const bar of bars) {
    const status = document.createElement("span");
    status.className = "live-status";
    bar.append(status);
    const { cell, number } = bar.dataset;
    if (!cell) {
      button(bar, "solve", "Use the solution", "Put it into the cell above, and run that");
      continue;
    }
    bar.setAttribute("role", "group");
    bar.setAttribute("aria-label", `Cell ${number}`);
    button(bar, "run", "Run", "Run this cell, and those above it first, in your browser");
    button(bar, "edit", "Edit", "Change this cell");
    const reset = button(bar, "reset", "Reset", "The cell as the book has it");
    reset.hidden = !(cell in edits);
    if (cell in edits) {
      const code = bar.parentElement.querySelector("pre");
      bar.originalCode = code.cloneNode(true);
      code.textContent = edits[cell];
      status.textContent = "Edited by you.";
    }
  }
})();
