// Sets formulas for the book: one request per line of standard input, one answer per line out.
// First line: {"macros": {...}}. Then {"tex": "...", "display": bool} -> {"html"} or {"error"}.
"use strict";
const readline = require("node:readline");
const { ParseError } = require("./katex.min.js");
const { render } = require("./slim.js");

let macros = null;

function typeset({ tex, display }) {
  const complaints = [];
  try {
    const html = render(tex, {
      displayMode: display,
      output: "htmlAndMathml",
      throwOnError: true,
      macros: { ...macros }, // a copy: what one formula defines must not reach the next
      strict: (code, message) => {
        complaints.push(`${message} [${code}]`);
        return "ignore";
      },
      trust: ({ command }) => {
        complaints.push(`${command} is not allowed in the book`);
        return false;
      },
    });
    return complaints.length ? { error: complaints.join("; ") } : { html };
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    const at = error.position === undefined ? "" : ` at position ${error.position}`;
    return { error: `${error.rawMessage}${at}` };
  }
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const request = JSON.parse(line);
  if (macros === null) {
    macros = request.macros;
    return;
  }
  process.stdout.write(`${JSON.stringify(typeset(request))}\n`);
});
