// Flow records as a file: CSV (RFC 4180) or JSON, made in the browser.

import { flat } from "./flow-table.tsx";

export type Format = "csv" | "json";

type Source = Record<string, unknown>;

/** The records as CSV: a column for each field that any of them has, in the order of their first appearance. */
export function csv(sources: Source[]): string {
  const rows = sources.map((source) => new Map(flat(source)));
  const columns = [...new Set(rows.flatMap((row) => [...row.keys()]))];
  const lines = [columns, ...rows.map((row) => columns.map((column) => row.get(column) ?? ""))];
  return lines.map((line) => `${line.map(cell).join(",")}\r\n`).join("");
}

/** The records as a JSON list, one a line. */
export function json(sources: Source[]): string {
  return `[\n${sources.map((source) => JSON.stringify(source)).join(",\n")}\n]\n`;
}

// Names come from the wire: a text that a spreadsheet would run as a formula gets an apostrophe, which it shows as text.
function cell(text: string): string {
  const safe = /^[=+@\t\r]|^-(?!\d+(\.\d+)?$)/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Offers the records as a download. */
export function save(sources: Source[], format: Format): void {
  const text = format === "csv" ? csv(sources) : json(sources);
  const type = format === "csv" ? "text/csv" : "application/json";
  const url = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  const stamp = new Date().toISOString().slice(0, 19).replaceAll(":", "");
  const link = Object.assign(document.createElement("a"), { href: url, download: `flows-${stamp}.${format}` });
  link.click();
  // The browser has begun to read it by then.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
