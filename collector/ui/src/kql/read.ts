// The text of a query, in Kibana's query language, as a tree. Every part knows its place in the text, so that what is
// wrong can be pointed at. Which fields there are is not known here.
//
// Own code, since the packages that exist are cut out of one Kibana or another, weigh more than this whole page, and
// tell no place.

/** From and to (excluded), in UTF-16 units of the text. */
export interface Place {
  from: number;
  to: number;
}

/** A word or a quoted text. In `text`, WILD stands for each `*` that was neither quoted nor escaped. */
export interface Word extends Place {
  kind: "word";
  text: string;
  quoted: boolean;
}

export type Comparison = "<" | "<=" | ">" | ">=";

export type Node =
  | { kind: "and" | "or"; parts: Node[] }
  | { kind: "not"; part: Node }
  | { kind: "is"; field: Word; value: Values }
  | { kind: "range"; field: Word; comparison: Comparison; value: Word }
  | { kind: "any"; value: Word };

/** What may stand after a colon: a value, or values put together within parentheses. */
export type Values = Word | { kind: "and" | "or"; parts: Values[] } | { kind: "not"; part: Values };

export type Token = Word | (Place & { kind: "(" | ")" | "{" | "}" | ":" | Comparison | "and" | "or" | "not" | "open" });

export class QueryError extends Error {
  constructor(
    message: string,
    readonly place: Place,
  ) {
    super(message);
  }
}

/** Stands for an unescaped `*`: a character that no text has. */
export const WILD = "\uE000";

// Deeper than anybody writes, and far from the end of the stack.
const DEEPEST = 50;

/** The tree of a text, or null when it is blank. */
export function read(text: string): Node | null {
  const tokens = tokenize(text);
  if (tokens.length === 0) return null;
  const reader = new Reader(tokens, text.length);
  const node = reader.or(0);
  reader.end();
  return node;
}

/** The text in pieces. The word `open` is a quoted text without its end: only its place is known. */
export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    const begin = at;
    const letter = text[at] ?? "";
    if (/\s/.test(letter)) {
      at += 1;
    } else if (letter === '"') {
      const found = quoted(text, at);
      at = found.to;
      tokens.push(found);
    } else if (letter === "<" || letter === ">") {
      const kind = text[at + 1] === "=" ? (`${letter}=` as Comparison) : letter;
      at += kind.length;
      tokens.push({ kind, from: begin, to: at });
    } else if (letter === "(" || letter === ")" || letter === "{" || letter === "}" || letter === ":") {
      at += 1;
      tokens.push({ kind: letter, from: begin, to: at });
    } else {
      let word = "";
      let escaped = false;
      while (at < text.length && !/[\s():<>"{}]/.test(text[at] ?? "")) {
        if (text[at] === "\\" && at + 1 < text.length) {
          word += text[at + 1];
          escaped = true;
          at += 2;
        } else {
          word += text[at] === "*" ? WILD : text[at];
          at += 1;
        }
      }
      const lower = word.toLowerCase();
      const joins = !escaped && (lower === "and" || lower === "or" || lower === "not");
      tokens.push(joins ? { kind: lower, from: begin, to: at } : { kind: "word", text: word, quoted: false, from: begin, to: at });
    }
  }
  return tokens;
}

function quoted(text: string, from: number): Token {
  let made = "";
  for (let at = from + 1; at < text.length; at += 1) {
    const letter = text[at] ?? "";
    if (letter === '"') return { kind: "word", text: made, quoted: true, from, to: at + 1 };
    if (letter === "\\" && at + 1 < text.length) {
      at += 1;
      const next = text[at] ?? "";
      made += { t: "\t", n: "\n", r: "\r" }[next] ?? next;
    } else {
      made += letter;
    }
  }
  return { kind: "open", from, to: text.length };
}

class Reader {
  private at = 0;

  constructor(
    private readonly tokens: Token[],
    private readonly length: number,
  ) {}

  or(depth: number): Node {
    return this.joined("or", () => this.joined("and", () => this.single(depth)));
  }

  end(): void {
    const rest = this.tokens[this.at];
    if (rest === undefined) return;
    if (rest.kind === ")") throw new QueryError("There is no “(” that this closes.", rest);
    throw this.unjoined(rest, "“and” or “or”");
  }

  private single(depth: number): Node {
    this.bound(depth);
    if (this.take("not")) return { kind: "not", part: this.single(depth + 1) };
    const open = this.take("(");
    if (open !== null) {
      const inner = this.or(depth + 1);
      this.close(open);
      return inner;
    }
    const word = this.word("a field or a word");
    if (this.take(":")) return { kind: "is", field: word, value: this.values(depth + 1) };
    const next = this.tokens[this.at];
    if (next !== undefined && (next.kind === "<" || next.kind === "<=" || next.kind === ">" || next.kind === ">=")) {
      this.at += 1;
      return { kind: "range", field: word, comparison: next.kind, value: this.word(`a value after “${next.kind}”`) };
    }
    return { kind: "any", value: word };
  }

  // What stands after a colon.
  private values(depth: number): Values {
    const open = this.take("(");
    if (open === null) return this.word("a value after “:”, or * for any");
    const inner = this.list(depth + 1);
    this.close(open);
    return inner;
  }

  private list(depth: number): Values {
    return this.joined("or", () => this.joined("and", () => this.item(depth)));
  }

  private item(depth: number): Values {
    this.bound(depth);
    if (this.take("not")) return { kind: "not", part: this.item(depth + 1) };
    const open = this.take("(");
    if (open === null) return this.word("a value");
    const inner = this.list(depth + 1);
    this.close(open);
    return inner;
  }

  private joined<T>(kind: "and" | "or", part: () => T): T | { kind: "and" | "or"; parts: T[] } {
    const parts = [part()];
    while (this.take(kind)) parts.push(part());
    const [only] = parts;
    return parts.length === 1 && only !== undefined ? only : { kind, parts };
  }

  // A quoted text, or words without quotes up to whatever is no word: blanks between them count as one.
  private word(wanted: string): Word {
    const token = this.tokens[this.at];
    if (token === undefined) throw new QueryError(`Expected ${wanted} here, at the end.`, { from: this.length, to: this.length });
    if (token.kind === "open") throw new QueryError("This quotation mark has no second one.", { from: token.from, to: token.from + 1 });
    if (token.kind === "{") throw new QueryError("Flow records have no nested fields: write values within parentheses.", token);
    if (token.kind !== "word") throw new QueryError(`Expected ${wanted} here.`, token);
    this.at += 1;
    let word = token;
    for (let next = this.tokens[this.at]; !word.quoted && next?.kind === "word" && !next.quoted; next = this.tokens[this.at]) {
      word = { ...word, text: `${word.text} ${next.text}`, to: next.to };
      this.at += 1;
    }
    return word;
  }

  private take(kind: Token["kind"]): Token | null {
    const token = this.tokens[this.at];
    if (token?.kind !== kind) return null;
    this.at += 1;
    return token;
  }

  private close(open: Token): void {
    if (this.take(")") === null) {
      const rest = this.tokens[this.at];
      if (rest === undefined) throw new QueryError("This “(” is not closed.", open);
      throw this.unjoined(rest, "“and”, “or” or “)”");
    }
  }

  private unjoined(rest: Token, words: string): QueryError {
    if (rest.kind === ":") return new QueryError("A value that has a “:” needs quotation marks.", rest);
    if (rest.kind === "open") return new QueryError("This quotation mark has no second one.", { from: rest.from, to: rest.from + 1 });
    return new QueryError(`Write ${words} before this.`, rest);
  }

  private bound(depth: number): void {
    const token = this.tokens[this.at];
    if (depth > DEEPEST) throw new QueryError(`More than ${DEEPEST} parentheses in each other.`, token ?? { from: 0, to: this.length });
  }
}
