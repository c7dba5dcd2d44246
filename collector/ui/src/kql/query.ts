// A typed query as Elasticsearch's query: what Kibana makes of the same text, but for names of text and addresses, which
// are asked for by their `.keyword`, so that indices of every age answer alike.

import type { Field } from "../api.ts";
import { QueryError, read, WILD, type Comparison, type Node, type Place, type Values, type Word } from "./read.ts";

export type Query = Record<string, unknown>;

export interface Note extends Place {
  message: string;
}

/** What a text asks for. `notes` say what is odd and may still be meant. */
export type Compiled = { query: Query | null; notes: Note[]; error: null } | { query: null; notes: Note[]; error: Note };

/** The query of a text; null when it is blank. */
export function compile(text: string, fields: Field[]): Compiled {
  const notes: Note[] = [];
  try {
    const node = read(text);
    return { query: node === null ? null : new Writer(fields, notes).node(node), notes, error: null };
  } catch (error) {
    if (!(error instanceof QueryError)) throw error;
    return { query: null, notes, error: { message: error.message, ...error.place } };
  }
}

class Writer {
  private readonly known: Map<string, Field>;

  constructor(
    fields: Field[],
    private readonly notes: Note[],
  ) {
    this.known = new Map(fields.map((field) => [field.name, field]));
  }

  node(node: Node): Query {
    switch (node.kind) {
      case "and":
        return all(node.parts.map((part) => this.node(part)));
      case "or":
        return any(node.parts.map((part) => this.node(part)));
      case "not":
        return not(this.node(node.part));
      case "is":
        return any(this.fields(node.field).map((field) => this.is(field, node.value)));
      case "range":
        return any(this.fields(node.field).map((field) => this.range(field, node.comparison, node.value)));
      case "any":
        return anywhere(node.value);
    }
  }

  // One value, or values put together, of one field.
  private is(field: Field, value: Values): Query {
    switch (value.kind) {
      case "and":
        return all(value.parts.map((part) => this.is(field, part)));
      case "or":
        return any(value.parts.map((part) => this.is(field, part)));
      case "not":
        return not(this.is(field, value.part));
      case "word":
        return this.word(field, value);
    }
  }

  private word(field: Field, value: Word): Query {
    if (!value.quoted && value.text === WILD) return { exists: { field: field.name } };
    if (!value.quoted && value.text.includes(WILD)) {
      const name = this.textual(field);
      if (name === null) throw new QueryError(`${field.name} holds a ${field.type}: no wildcard but * alone.`, value);
      return { wildcard: { [name]: { value: pattern(value.text) } } };
    }
    const typed = fitting(field, value);
    const name = field.type === "ip" && value.text.includes("/") ? field.name : (this.textual(field) ?? field.name);
    return value.quoted || typeof typed !== "string" ? { match_phrase: { [name]: typed } } : { match: { [name]: typed } };
  }

  private range(field: Field, comparison: Comparison, value: Word): Query {
    if (value.text.includes(WILD)) throw new QueryError("A comparison takes one value, without *.", value);
    const name = { "<": "lt", "<=": "lte", ">": "gt", ">=": "gte" }[comparison];
    return { range: { [field.name]: { [name]: fitting(field, value) } } };
  }

  // The fields that a name means: itself, with `ipfix.` before it, or all that fit its wildcards.
  private fields(word: Word): Field[] {
    if (!word.quoted && word.text.includes(WILD)) {
      const wanted = new RegExp(`^(ipfix\\.)?${word.text.split(WILD).map(literal).join(".*")}$`);
      const found = [...this.known.values()].filter((field) => !field.name.endsWith(".keyword") && wanted.test(field.name));
      if (found.length === 0) throw new QueryError("No field has such a name.", word);
      return found;
    }
    const field = this.known.get(word.text) ?? this.known.get(`ipfix.${word.text}`);
    if (field !== undefined) return [field];
    // Elements that only some exporter sends are in no list.
    this.notes.push({ message: `No field is listed as “${word.text}”.`, from: word.from, to: word.to });
    return [{ name: word.text, type: "unknown", index: "", format: null }];
  }

  private textual(field: Field): string | null {
    if (field.name.endsWith(".keyword")) return field.name;
    const keyword = `${field.name}.keyword`;
    if (this.known.has(keyword)) return keyword;
    return field.type === "string" || field.type === "unknown" ? field.name : null;
  }
}

/** A bare word is looked for in every field. */
function anywhere(value: Word): Query {
  if (!value.quoted && value.text === WILD) return { match_all: {} };
  if (!value.quoted && value.text.includes(WILD)) {
    return { query_string: { query: value.text.split(WILD).map(forQueryString).join("*") } };
  }
  return { multi_match: { type: value.quoted ? "phrase" : "best_fields", query: value.text, lenient: true } };
}

/** The value as the field's type needs it. */
function fitting(field: Field, value: Word): string | number | boolean {
  const wrong = (needed: string) => new QueryError(`${field.name} holds ${needed}, which “${value.text}” is not.`, value);
  switch (field.type) {
    case "number": {
      const number = Number(value.text);
      if (value.text.trim() === "" || !Number.isFinite(number)) throw wrong("numbers");
      // A number beyond 2^53 stays the text that it is: the server reads it exactly.
      return Number.isSafeInteger(number) || !Number.isInteger(number) ? number : value.text;
    }
    case "boolean":
      if (value.text !== "true" && value.text !== "false") throw wrong("true or false");
      return value.text === "true";
    case "ip":
      if (!/^([\d.]+|[\da-f:.]*:[\da-f:.]*)(\/\d{1,3})?$/i.test(value.text)) throw wrong("addresses (10.0.0.7) and networks (10.0.0.0/8)");
      return value.text;
    default:
      return value.text;
  }
}

const all = (parts: Query[]): Query => ({ bool: { filter: parts } });

function any(parts: Query[]): Query {
  const [only] = parts;
  return parts.length === 1 && only !== undefined ? only : { bool: { should: parts, minimum_should_match: 1 } };
}

const not = (part: Query): Query => ({ bool: { must_not: [part] } });

/** A wildcard query's own characters escaped. */
const pattern = (text: string) => text.replace(/[\\*?]/g, "\\$&").replaceAll(WILD, "*");

const literal = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** All that means something to a query string but for the `*` already cut out. */
const forQueryString = (text: string) => text.replace(/[+\-=&|><!(){}[\]^"~*?:\\/ ]/g, "\\$&").replace(/\b(AND|OR|NOT)\b/g, "\\$1");
