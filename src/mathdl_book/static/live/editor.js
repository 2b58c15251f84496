/* The editor of a cell: CodeMirror, loaded when a reader first presses Edit. */

const version = new URL(import.meta.url).search;
const {
  EditorView,
  HighlightStyle,
  bracketMatching,
  closeBrackets,
  closeBracketsKeymap,
  defaultKeymap,
  drawSelection,
  history,
  historyKeymap,
  indentOnInput,
  indentUnit,
  indentWithTab,
  keymap,
  python,
  syntaxHighlighting,
  tags,
} = await import(`./vendor/codemirror.js${version}`);

const look = EditorView.theme({
  "&": { color: "inherit", backgroundColor: "transparent", fontSize: "0.86em" },
  "&.cm-focused": { outline: "2px solid var(--book-link)" },
  ".cm-scroller": {
    fontFamily: "var(--pst-font-family-monospace)",
    lineHeight: "1.45",
    overflow: "auto",
  },
  ".cm-content": { caretColor: "var(--book-ink)", padding: "1rem 0" },
  ".cm-line": { padding: "0 1rem" },
  ".cm-cursor": { borderLeftColor: "var(--book-ink)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground":
    { backgroundColor: "color-mix(in srgb, var(--book-link) 28%, transparent)" },
  "&.cm-focused .cm-matchingBracket": {
    backgroundColor: "color-mix(in srgb, var(--book-good) 30%, transparent)",
  },
});

const colours = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--live-keyword)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--live-string)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--live-number)" },
  { tag: [tags.lineComment, tags.docString], color: "var(--book-muted)", fontStyle: "italic" },
  { tag: [tags.definition(tags.variableName), tags.function(tags.variableName)], color: "var(--book-link)" },
]);

/**
 * Opens an editor.
 * @param {{parent: HTMLElement, before: Node, code: string, label: string,
 *   changed: function(string): void, run: function(): void, leave: function(): void}} given
 */
export function open({ parent, before, code, label, changed, run, leave }) {
  const act = (what) => () => {
    what();
    return true;
  };
  const view = new EditorView({
    doc: code,
    extensions: [
      history(),
      drawSelection(),
      indentOnInput(),
      indentUnit.of("    "),
      bracketMatching(),
      closeBrackets(),
      python(),
      syntaxHighlighting(colours),
      look,
      EditorView.contentAttributes.of({ "aria-label": label }),
      EditorView.updateListener.of((update) => {
        if (update.docChanged) changed(view.state.doc.toString());
      }),
      keymap.of([
        { key: "Shift-Enter", run: act(run) },
        { key: "Mod-Enter", run: act(run) },
        // Tab indents, so there must be a way out for those who have only a keyboard.
        { key: "Escape", run: act(leave) },
        ...closeBracketsKeymap,
        ...defaultKeymap,
        ...historyKeymap,
        indentWithTab,
      ]),
    ],
  });
  parent.insertBefore(view.dom, before);
  return {
    focus: () => view.focus(),
    set: (text) => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } }),
    close: () => view.destroy(),
  };
}
