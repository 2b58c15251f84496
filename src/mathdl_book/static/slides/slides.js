// A deck: reveal.js, with slides that are made smaller where they would not fit, and the book's colours.
"use strict";
(() => {
  const WIDTH = 1280;
  const HEIGHT = 720;
  const SMALLEST = 0.4;
  const root = document.documentElement;
  const slides = document.querySelector(".slides");
  const printing = /[?&]print-pdf\b/i.test(location.search);

  // ---- as large as fits ----

  /** Whether all that a slide shows is within it. @param {HTMLElement} box */
  function fits(box) {
    const body = box.querySelector(".slide-body");
    const inside = [body, ...body.querySelectorAll(".math-formula, pre, table")].every(
      (one) => one.scrollWidth <= one.clientWidth + 1,
    );
    return inside && body.scrollHeight <= body.clientHeight + 1 && box.scrollHeight <= HEIGHT + 1;
  }

  /** Has a slide's content shrink until it fits. @param {Element} slide @param {number} from */
  function fit(slide, from = 1) {
    const box = slide?.querySelector(":scope > .slide-fit");
    if (!box) return;
    const body = box.querySelector(".slide-body");
    // What an explorable draws over itself under a hand has the size of before.
    for (const canvas of body.querySelectorAll(".explorable-moving")) {
      canvas.style.cssText = "width: 0; height: 0";
    }
    for (let zoom = from; zoom >= SMALLEST; zoom -= 0.05) {
      body.style.zoom = zoom.toFixed(2);
      if (fits(box)) return;
    }
  }

  // ---- light or dark: as on the book's pages, where the choice is kept ----

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const button = document.querySelector(".deck-theme");

  /** @param {string} mode auto, light or dark @param {boolean} [keep] */
  function setMode(mode, keep) {
    root.dataset.mode = mode;
    root.dataset.theme = mode === "auto" ? (dark.matches ? "dark" : "light") : mode;
    button.textContent = `Colours: ${mode === "auto" ? "as the system" : mode}`;
    if (!keep) return;
    try {
      localStorage.setItem("mode", mode);
      localStorage.setItem("theme", root.dataset.theme);
    } catch {
      // Storage is forbidden: for this deck only.
    }
  }
  setMode(root.dataset.mode);
  dark.addEventListener("change", () => setMode(root.dataset.mode));
  button.addEventListener("click", () => {
    setMode({ auto: "light", light: "dark", dark: "auto" }[root.dataset.mode] ?? "auto", true);
  });

  // ---- the deck ----

  for (const box of document.querySelectorAll(".explorable")) {
    box.setAttribute("data-prevent-swipe", "");
    // On paper, a figure beside the explorable says the same on a slide of its own.
    if (printing && box.matches(".explorable-beside")) box.closest(".slide").remove();
  }

  const config = {
    width: WIDTH,
    height: HEIGHT,
    margin: printing ? 0 : 0.03,
    center: false,
    hash: true,
    slideNumber: "c/t",
    transition: "none",
    backgroundTransition: "none",
    navigationMode: "linear",
    viewDistance: 1, // an explorable is loaded when its slide is shown
    mobileViewDistance: 1,
    scrollActivationWidth: null,
    pdfMaxPagesPerSlide: 1,
    // Keys that move something belong to it.
    keyboardCondition: (event) => !event.target.closest?.(".explorable, select, button, .deck-foot"),
  };

  /** Shows the slide of the explorable of which a link names a state. @param {string} hash */
  function goToState(hash) {
    const name = hash.match(/^#(explorable-[\w-]+)&/)?.[1];
    const slide = name && document.getElementById(name)?.closest(".slide");
    if (!slide) return;
    const { h, v } = Reveal.getIndices(slide);
    Reveal.slide(h, v);
    // The link is followed as on a page, by scrolling; a deck does not scroll.
    for (let box = slide; box; box = box.parentElement) box.scrollTop = 0;
  }

  async function begin() {
    await document.fonts.ready;
    if (printing) {
      slides.classList.add("measuring");
      for (const slide of slides.querySelectorAll(".slide")) fit(slide);
      slides.classList.remove("measuring");
    }
    const { hash } = location;
    await Reveal.initialize(config);
    // It is no application: whoever listens to it reads it as any page.
    document.querySelector(".reveal").removeAttribute("role");
    if (printing) {
      root.classList.add("deck-ready");
      return;
    }
    goToState(hash);
    addEventListener("hashchange", () => goToState(location.hash));
    const growing = new ResizeObserver(() => {
      const slide = Reveal.getCurrentSlide();
      const box = slide.querySelector(":scope > .slide-fit");
      if (!fits(box)) fit(slide, Number(box.querySelector(".slide-body").style.zoom) || 1);
    });
    const show = () => {
      const slide = Reveal.getCurrentSlide();
      fit(slide);
      growing.disconnect();
      for (const part of slide.querySelectorAll(".slide-body > *")) growing.observe(part);
    };
    Reveal.on("slidechanged", show);
    show();
    // Fonts of formulas that were not on the first slide arrive later.
    document.fonts.addEventListener("loadingdone", show);
    root.classList.add("deck-ready");
  }
  begin();
})();
