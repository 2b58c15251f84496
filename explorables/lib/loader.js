/*
 * Starts each explorable of a page when it comes near. A classic script, since browsers refuse
 * modules on pages opened as files: there the static figure stays, and a line says why.
 */
(() => {
  const roots = [...document.querySelectorAll(".explorable[data-explorable]")];
  const started = new Map();

  function giveUp(root, why) {
    root.classList.add("explorable-failed");
    const note = document.createElement("p");
    note.className = "explorable-note";
    note.textContent = why;
    (root.querySelector("figure") ?? root).append(note);
  }

  function start(root) {
    if (location.protocol === "file:") return null;
    if (!started.has(root)) {
      const running = import("./explorable.js").then((library) => library.start(root));
      started.set(root, running);
      running.catch((error) => {
        giveUp(root, "The interactive version of this figure could not be loaded; a reload of the page may help.");
        console.error(error);
      });
    }
    return started.get(root);
  }

  /** Sets the state that an address names: #explorable-NAME&key=value&… */
  async function follow(hash, smooth) {
    const [id, ...state] = decodeURIComponent(hash.slice(1)).split("&");
    const root = id.startsWith("explorable-") ? document.getElementById(id) : null;
    if (!roots.includes(root)) return;
    if (state.length) root.scrollIntoView(smooth ? { behavior: "smooth" } : undefined);
    (await start(root))?.restore(state.join("&"));
  }

  for (const button of document.querySelectorAll("button.explorable-set")) {
    const root = document.getElementById(`explorable-${button.dataset.explorableFor}`);
    button.addEventListener("click", async () => {
      (await start(root))?.goTo(button.dataset.state);
    });
  }

  if (location.protocol === "file:") {
    for (const root of roots) {
      giveUp(
        root,
        "This figure answers to your hand when the page comes from a server: " +
          "run “python -m http.server” in the book’s folder and open http://localhost:8000.",
      );
    }
    return;
  }
  const near = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        near.unobserve(entry.target);
        start(entry.target);
      }
    },
    { rootMargin: "600px" },
  );
  for (const root of roots) near.observe(root);
  addEventListener("hashchange", () => follow(location.hash, true));
  if (location.hash) follow(location.hash, false);
})();
