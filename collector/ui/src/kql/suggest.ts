// What could be typed next: the names of fields, values of the field before the colon, or the words between two parts.

import { tokenize, WILD } from "./read.ts";

/** What the text before the cursor waits for. `from` to `to` is what a choice replaces, `begun` what stands there already. */
export interface Wanted {
  what: "field" | "value" | "operator" | "join";
  /** The field whose value is wanted. */
  field: string | null;
  begun: string;
  from: number;
  to: number;
}

/** What is wanted at the cursor. */
export function wantedAt(text: string, cursor: number): Wanted {
  const tokens = tokenize(text.slice(0, cursor));
  let what: Wanted["what"] = "field";
  let field: string | null = null;
  // Parentheses that are open: each with the field whose values it lists, or null.
  const open: (string | null)[] = [];
  for (const token of tokens) {
    const last = token === tokens.at(-1);
    const inList = open.at(-1) ?? null;
    switch (token.kind) {
      case "open":
        return { what: what === "value" ? "value" : "field", field, begun: unescaped(text.slice(token.from + 1, cursor)), from: token.from, to: cursor };
      case "word":
        if (last && token.to === cursor && !token.quoted) {
          const begun = token.text.replaceAll(WILD, "*");
          const word = what === "operator" ? "field" : what;
          return { what: word, field, begun, from: token.from, to: cursor };
        }
        if (what === "field" || what === "operator") {
          field = token.text;
          what = "operator";
        } else {
          what = "join";
        }
        break;
      case "and":
      case "or":
      case "not":
        // A word that ends at the cursor may be the beginning of a longer one.
        if (last && token.to === cursor) {
          return { what: inList === null ? "field" : "value", field: inList, begun: text.slice(token.from, cursor), from: token.from, to: cursor };
        }
        field = inList;
        what = inList === null ? "field" : "value";
        break;
      case "(":
        open.push(what === "value" ? field : null);
        if (what !== "value") what = "field";
        break;
      case ")":
        open.pop();
        field = open.at(-1) ?? null;
        what = "join";
        break;
      case ":":
      case "<":
      case "<=":
      case ">":
      case ">=":
        what = "value";
        break;
      default:
        break;
    }
  }
  return { what, field: what === "value" || what === "join" || what === "operator" ? field : null, begun: "", from: cursor, to: cursor };
}

/** A value as it has to be written. */
export function written(value: string | number | boolean): string {
  return typeof value === "string" ? `"${value.replace(/[\\"]/g, "\\$&")}"` : String(value);
}

function unescaped(text: string): string {
  return text.replace(/\\(.)/g, "$1");
}
