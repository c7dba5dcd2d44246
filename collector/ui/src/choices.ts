// What the query bar offers: fields out of the list, values out of the store, the words between.

import { search, type Field } from "./api.ts";
import { context, plainName, type Filter } from "./kibana.ts";
import { written, type Wanted } from "./kql/suggest.ts";
import type { Moments } from "./time.ts";

export interface Choice {
  shown: string;
  about: string;
  /** What is put into the text. */
  insert: string;
}

// More than this nobody reads down.
const MOST = 10;

/** Fields whose name has what is begun; after a field or a value, what may follow. */
export function fieldChoices({ what, field, begun }: Wanted, fields: Field[]): Choice[] {
  if (what === "join") {
    return [
      { shown: "and", about: "both", insert: "and " },
      { shown: "or", about: "either", insert: "or " },
    ];
  }
  if (what === "operator") {
    const known = named(field, fields);
    const equals = [{ shown: ":", about: "is, or is one of: ( … or … )", insert: ": " }];
    if (known?.type !== "number" && known?.type !== "date") return equals;
    const about: Record<string, string> = { "<": "less than", "<=": "at most", ">": "more than", ">=": "at least" };
    return [...equals, ...Object.entries(about).map(([sign, words]) => ({ shown: sign, about: words, insert: `${sign} ` }))];
  }
  const begins = begun.toLowerCase();
  if (begins === "") return [];
  const rank = (field: Field) => {
    const name = field.name.toLowerCase();
    return name.startsWith(begins) || plainName(name).startsWith(begins) ? 0 : name.includes(begins) ? 1 : 2;
  };
  return fields
    .filter((field) => !field.name.endsWith(".keyword") && rank(field) < 2)
    .sort((one, two) => rank(one) - rank(two) || one.name.length - two.name.length || (one.name < two.name ? -1 : 1))
    .slice(0, MOST)
    .map((field) => ({ shown: field.name, about: field.type, insert: `${field.name}: ` }));
}

/** The most frequent values of the field, of those that begin so, under the filters in force. */
export async function valueChoices(
  { field, begun }: Wanted,
  fields: Field[],
  range: Moments,
  filters: Filter[],
  signal: AbortSignal,
): Promise<Choice[]> {
  const known = named(field, fields);
  if (known === undefined || known.type === "date") return [];
  const keyword = fields.some((one) => one.name === `${known.name}.keyword`) ? `${known.name}.keyword` : known.name;
  const asText = known.type === "string" || keyword !== known.name;
  const begins = begun.replaceAll("*", "");
  const narrowed: Filter[] =
    asText && begins !== "" ? [...filters, { query: { prefix: { [keyword]: { value: begins } } }, negate: false }] : filters;
  const body = {
    size: 0,
    query: context("@timestamp", range, narrowed),
    aggs: { values: { terms: { field: keyword, size: asText ? MOST : 200 } } },
  };
  const answer = await search("flow-*", body, signal);
  const buckets = (answer.aggregations?.["values"] as { buckets: Bucket[] } | undefined)?.buckets ?? [];
  return buckets
    .map((bucket) => ({ ...bucket, key: known.type === "boolean" ? bucket.key === 1 || bucket.key === "true" || bucket.key === true : bucket.key }))
    .filter((bucket) => bucket.key !== "" && String(bucket.key).startsWith(begins))
    .slice(0, MOST)
    .map((bucket) => ({
      shown: String(bucket.key),
      about: `${bucket.doc_count.toLocaleString()} records`,
      insert: `${written(bucket.key)} `,
    }));
}

interface Bucket {
  key: string | number | boolean;
  doc_count: number;
}

function named(name: string | null, fields: Field[]): Field | undefined {
  return fields.find((field) => field.name === name) ?? fields.find((field) => field.name === `ipfix.${name}`);
}
