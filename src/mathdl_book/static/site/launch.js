/**
 * Where a page can be opened as a notebook: the links, as launch.py writes them, and the dialog that
 * asks a reader once for the address of their JupyterHub. Loaded when the menu is first used.
 */

const KEPT = "mathdl-hub";

/**
 * @typedef {object} Place
 * @property {string} repository web address of the repository
 * @property {string} branch branch of the notebooks
 * @property {string} [binder] address of a BinderHub
 */

/** The folder of the notebooks on a JupyterHub. @param {Place} place */
export const folder = (place) => `${place.repository.split("/").at(-1)}-${place.branch}`;

/** A path or a branch within an address. @param {string} text */
const quoted = (text) => text.split("/").map(encodeURIComponent).join("/");

/**
 * @param {Place} place
 * @param {string} path of the notebook, from the root of the branch
 */
export function binderLink(place, path) {
  const { hostname, pathname } = new URL(place.repository);
  const name = pathname.slice(1);
  const source = {
    "github.com": `gh/${name}`,
    "gitlab.com": `gl/${encodeURIComponent(name)}`,
  }[hostname] ?? `git/${encodeURIComponent(place.repository)}`;
  return `${place.binder}/v2/${source}/${quoted(place.branch)}?urlpath=lab/tree/${quoted(path)}`;
}

/**
 * Null where Colab cannot open it: it knows GitHub only.
 * @param {Place} place
 * @param {string} path
 */
export function colabLink(place, path) {
  const { hostname, pathname } = new URL(place.repository);
  if (hostname !== "github.com") return null;
  const colab = "https://colab.research.google.com/github";
  return `${colab}${pathname}/blob/${quoted(place.branch)}/${quoted(path)}`;
}

/**
 * Where nbgitpuller fetches the notebooks and opens one in JupyterLab.
 * @param {Place} place
 * @param {string} path
 * @param {string} hub address of the JupyterHub, as `hubAddress` returns it
 */
export function hubLink(place, path, hub) {
  const given = new URLSearchParams({
    repo: place.repository,
    branch: place.branch,
    targetpath: folder(place),
    urlpath: `lab/tree/${folder(place)}/${path}`,
  });
  return `${hub}/hub/user-redirect/git-pull?${given}`;
}

/**
 * The address of a JupyterHub from what somebody typed, or copied from there.
 * @param {string} typed
 * @returns {string} without a slash at its end
 * @throws {Error} whose message says what is wrong
 */
export function hubAddress(typed) {
  const text = typed.trim();
  if (!text) throw new Error("Type the address of your JupyterHub.");
  const whole = /^[a-z][a-z\d+.-]*:\/\//i.test(text) ? text : `https://${text}`;
  if (/\s/.test(text) || !URL.canParse(whole)) {
    throw new Error("This is not the address of a website.");
  }
  const url = new URL(whole);
  const here = /^(localhost|127\.0\.0\.1|\[::1\])$/.test(url.hostname);
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    throw new Error("The address must begin with https://.");
  }
  if (url.username || url.password) throw new Error("Leave out the name and the password.");
  if (!here && !/^[^.].*\.[^.\d]+\.?$|^[\d.]+$|^\[/.test(url.hostname)) {
    throw new Error("This is not the address of a website: it has no dot.");
  }
  // What stands behind the hub's own address when one copies it from there.
  const base = url.pathname.replace(/\/(?:hub|user|services)(?:\/.*)?$/, "").replace(/\/+$/, "");
  return url.origin + base;
}

/** The address that was given before; null where there is none or none may be kept. */
export function keptHub() {
  try {
    return hubAddress(localStorage.getItem(KEPT) ?? "");
  } catch {
    return null;
  }
}

/** @param {string | null} hub */
export function keepHub(hub) {
  try {
    if (hub) localStorage.setItem(KEPT, hub);
    else localStorage.removeItem(KEPT);
  } catch {
    // Then it is asked for again.
  }
}

// ---- the menu of a page ----

/** @param {string} tag @param {object} given @param {(Node | string)[]} children */
function make(tag, given, ...children) {
  const element = Object.assign(document.createElement(tag), given);
  element.append(...children);
  return element;
}

/**
 * Ask for the address of a hub, in a dialog.
 * @param {(hub: string | null) => void} told gets the address; null where it is to be forgotten
 */
function ask(told) {
  const known = keptHub();
  const field = make("input", {
    type: "text",
    inputMode: "url",
    id: "hub-address",
    autocomplete: "url",
    spellcheck: false,
    value: known ?? "",
  });
  field.setAttribute("aria-describedby", "hub-hint hub-wrong");
  const wrong = make("p", { id: "hub-wrong", className: "hub-wrong", role: "alert" });
  const button = (text, given = {}) => make("button", { type: "button", textContent: text, ...given });
  const cancel = button("Cancel");
  const forget = button("Forget it", { hidden: !known });
  const form = make(
    "form",
    { noValidate: true },
    make("h2", { id: "hub-title", textContent: "Your JupyterHub" }),
    make("label", { htmlFor: "hub-address", textContent: "Its address" }),
    field,
    make("p", {
      id: "hub-hint",
      textContent:
        "As in your browser when you are there, such as https://hub.example.edu. The hub needs " +
        "nbgitpuller. The address is kept in this browser, and sent nowhere else.",
    }),
    wrong,
    make("p", { className: "hub-tools" }, button("Open there", { type: "submit" }), cancel, forget),
  );
  const dialog = make("dialog", { className: "hub-dialog" }, form);
  dialog.setAttribute("aria-labelledby", "hub-title");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    try {
      const hub = hubAddress(field.value);
      dialog.close();
      told(hub);
    } catch (error) {
      field.setAttribute("aria-invalid", "true");
      wrong.textContent = error.message;
      field.focus();
    }
  });
  field.addEventListener("input", () => {
    field.removeAttribute("aria-invalid");
    wrong.textContent = "";
  });
  cancel.addEventListener("click", () => dialog.close());
  forget.addEventListener("click", () => {
    dialog.close();
    told(null);
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  field.select();
}

/**
 * Give the entry of the reader's hub in a page's menu its link, or let it ask for one.
 * @param {Element} menu
 */
export function offer(menu) {
  const item = menu.querySelector("a.btn-launch-hub");
  if (!item) return;
  const said = new URL(item.href);
  if (!said.searchParams.has("urlpath") || said.pathname.endsWith("/git-pull")) return; // one for all
  const place = {
    repository: said.searchParams.get("repo"),
    branch: said.searchParams.get("branch"),
  };
  const path = said.searchParams.get("urlpath").split("/").slice(3).join("/");
  const change = item.cloneNode(true);
  change.removeAttribute("href");
  change.title = "";
  const other = make("li", { hidden: true }, make("button", { type: "button", className: change.className }));
  other.firstChild.classList.replace("btn-launch-hub", "btn-launch-other");
  other.firstChild.append(...change.childNodes);
  item.closest("li").after(other);
  const text = (box, words) => (box.querySelector(".btn__text-container").textContent = words);
  const show = () => {
    const hub = keptHub();
    item.href = hub ? hubLink(place, path, hub) : said.href;
    other.hidden = !hub;
    if (hub) text(other, `Another hub than ${new URL(hub).host}`);
  };
  const toggle = menu.querySelector(".dropdown-toggle");
  const begin = () => {
    toggle.focus(); // where the focus returns when the dialog is closed
    ask((hub) => {
      keepHub(hub);
      show();
      if (hub) window.open(hubLink(place, path, hub), "_blank", "noopener");
    });
  };
  item.addEventListener("click", (event) => {
    if (keptHub()) return; // a link like any other
    event.preventDefault();
    begin();
  });
  other.firstChild.addEventListener("click", begin);
  show();
}
