// What Kibana does to a Vega spec's data request before it sends it: here done by the page itself, so that the
// same specs run in both places.

import { autoInterval, type Moments } from "./time.ts";

export interface Filter {
  query: Record<string, unknown>;
  negate: boolean;
}

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** The body of a request with its markers filled in; with `spanBefore`, the same of the span before the range is asked too. */
export function fillRequest(url: Record<string, unknown>, range: Moments, filters: Filter[], spanBefore = false): Record<string, unknown> {
  const body = fillMarkers(structuredClone(url["body"]) as Json, range) as Record<string, unknown>;
  const aggregations = body["aggs"] as { [key: string]: Json } | undefined;
  if (spanBefore && aggregations?.["now"] !== undefined && aggregations["day"] !== undefined) {
    // Kibana has no marker for it, so only our page asks: what stands for the day before, over the span before.
    const before = { gte: 2 * range.from - range.to, lt: range.from, format: "epoch_millis" };
    aggregations["before"] = { ...(aggregations["day"] as { [key: string]: Json }), filter: { range: { "@timestamp": before } } };
  }
  const timefield = url["%timefield%"];
  if (url["%context%"] === true) {
    body["query"] = context(typeof timefield === "string" ? timefield : null, range, filters);
  }
  return body;
}

/** The query of a time range and filters, in Kibana's shape. */
export function context(timefield: string | null, range: Moments, filters: Filter[]): Record<string, unknown> {
  const filter: unknown[] = filters.filter((one) => !one.negate).map((one) => one.query);
  if (timefield !== null) {
    filter.unshift({ range: { [timefield]: { gte: range.from, lte: range.to, format: "epoch_millis" } } });
  }
  const must_not = filters.filter((one) => one.negate).map((one) => one.query);
  return { bool: { must: [], filter, should: [], must_not } };
}

function fillMarkers(value: Json, range: Moments): Json {
  if (Array.isArray(value)) return value.map((item) => fillMarkers(item, range));
  if (value === null || typeof value !== "object") return value;
  const filled: { [key: string]: Json } = {};
  for (const [key, item] of Object.entries(value)) {
    if (key === "interval" && isMarker(item, "%autointerval%")) {
      const interval = autoInterval(range);
      // Elasticsearch and OpenSearch take 1m, 1h, 1d only as calendar intervals from us too, as Kibana sends them.
      filled[/^1[mhdw]$/.test(interval) ? "calendar_interval" : "fixed_interval"] = interval;
    } else if (isMarker(item, "%timefilter%")) {
      filled[key] = timeFilter(item as { [key: string]: Json }, range);
    } else {
      filled[key] = fillMarkers(item, range);
    }
  }
  return filled;
}

function timeFilter(marker: { [key: string]: Json }, range: Moments): Json {
  const shift = Number(marker["shift"] ?? 0) * (UNITS[String(marker["unit"] ?? "day")] ?? UNITS["day"] ?? 0);
  const from = range.from + shift;
  const to = range.to + shift;
  if (marker["%timefilter%"] === "min") return from;
  if (marker["%timefilter%"] === "max") return to;
  return { gte: from, lte: to, format: "epoch_millis" };
}

const UNITS: Record<string, number> = {
  second: 1000,
  minute: 60_000,
  hour: 3_600_000,
  day: 86_400_000,
  week: 604_800_000,
};

function isMarker(value: Json | undefined, name: string): boolean {
  return value !== null && typeof value === "object" && !Array.isArray(value) && name in value;
}

/** The value at a dotted path: a Vega data set's `format.property`. */
export function property(value: unknown, path: string | undefined): unknown {
  if (path === undefined) return value;
  return path.split(".").reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], value);
}

/** A filter in words. */
export function filterText(filter: Filter): string {
  const [kind, inner] = Object.entries(filter.query)[0] ?? ["", {}];
  if ((kind === "match_phrase" || kind === "term") && inner !== null && typeof inner === "object") {
    const [field, value] = Object.entries(inner)[0] ?? ["", ""];
    return `${plainName(field)}: ${typeof value === "object" ? JSON.stringify(value) : String(value)}`;
  }
  if (kind === "exists") return `${plainName(String((inner as { field?: unknown }).field))} exists`;
  return JSON.stringify(filter.query);
}

/** A field without what only the index needs to know. */
export function plainName(field: string): string {
  return field.replace(/^ipfix\./, "").replace(/\.keyword$/, "");
}
