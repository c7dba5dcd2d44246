// Flow records as a table: a click on a cell filters by it, a click on the time opens all fields.

import { useState } from "preact/hooks";

import type { Field, Hit } from "./api.ts";
import { plainName } from "./kibana.ts";
import { bytes } from "./units.ts";

interface Properties {
  hits: Hit[];
  columns: string[];
  fields: Field[];
  caption: string;
  addFilter(query: Record<string, unknown>): void;
}

export function FlowTable({ hits, columns, fields, caption, addFilter }: Properties) {
  const [open, setOpen] = useState<string | null>(null);
  const filter = (column: string, value: unknown) => addFilter({ match_phrase: { [searched(column, fields)]: value } });
  return (
    <table>
      <caption>{caption}</caption>
      <thead>
        <tr>
          <th scope="col">Time</th>
          {columns.map((column) => (
            <th scope="col" title={column} key={column}>
              {/* Names may break before a capital, so that columns are as wide as their values. */}
              {plainName(column)
                .split(/(?=[A-Z][a-z])/)
                .map((part) => [<wbr />, part])}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {hits.map((hit) => (
          <>
            <tr key={hit._id}>
              <td>
                <button
                  class="plain"
                  aria-expanded={open === hit._id}
                  title="All fields of this record"
                  onClick={() => setOpen(open === hit._id ? null : hit._id)}
                >
                  {time(hit._source["@timestamp"])}
                </button>
              </td>
              {columns.map((column) => (
                <Cell key={column} column={column} value={valueAt(hit._source, column)} fields={fields} filter={filter} />
              ))}
            </tr>
            {open === hit._id && (
              <tr class="all" key={`${hit._id} all`}>
                <td colSpan={columns.length + 1}>
                  <dl>
                    {flat(hit._source).map(([name, value]) => (
                      <div key={name}>
                        <dt>{name}</dt>
                        <dd>{value}</dd>
                      </div>
                    ))}
                  </dl>
                </td>
              </tr>
            )}
          </>
        ))}
      </tbody>
    </table>
  );
}

interface CellProperties {
  column: string;
  value: unknown;
  fields: Field[];
  filter(column: string, value: unknown): void;
}

function Cell({ column, value, fields, filter }: CellProperties) {
  const format = fields.find((field) => field.name === column)?.format ?? null;
  const numeric = format === "bytes" || format === "number";
  if (value === undefined || value === null || value === "") return <td class="none">–</td>;
  const text = shown(value, format);
  if (numeric) return <td class="number" title={String(value)}>{text}</td>;
  return (
    <td>
      <button class="plain" title={`${text}\nFilter by this ${plainName(column)}`} onClick={() => filter(column, value)}>
        {text}
      </button>
    </td>
  );
}

function shown(value: unknown, format: string | null): string {
  if (typeof value === "number" && format === "bytes") return bytes(value);
  if (typeof value === "number" && format === "number") return value.toLocaleString();
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}

// Letters of a cell; the record's own view shows more.
const LONGEST = 80;

function time(value: unknown): string {
  const at = new Date(String(value));
  if (Number.isNaN(at.getTime())) return String(value);
  const pad = (number: number, width = 2) => String(number).padStart(width, "0");
  const day = `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
  return `${day} ${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}.${pad(at.getMilliseconds(), 3)}`;
}

/** The value at a dotted name. */
export function valueAt(source: Record<string, unknown>, name: string): unknown {
  if (name in source) return source[name];
  return name.split(".").reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], source);
}

/** A document as lines of name and text, in its order. */
export function flat(source: Record<string, unknown>, prefix = ""): [string, string][] {
  return Object.entries(source).flatMap(([key, value]): [string, string][] => {
    const name = prefix + key;
    if (value !== null && typeof value === "object" && !Array.isArray(value)) {
      return flat(value as Record<string, unknown>, `${name}.`);
    }
    return [[name, typeof value === "object" ? JSON.stringify(value) : String(value)]];
  });
}

// Names and addresses are searched by their `.keyword`, which indices of every age have.
function searched(column: string, fields: Field[]): string {
  const keyword = `${column}.keyword`;
  return fields.some((field) => field.name === keyword) ? keyword : column;
}
