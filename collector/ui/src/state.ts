// What the page shows: kept in the address, so that a view can be shared and back and forward work.

import type { Filter } from "./kibana.ts";
import type { Range } from "./time.ts";

export interface View {
  dashboard: string;
  range: Range;
  refreshSeconds: number;
  /** What is typed, in Kibana's query language. */
  query: string;
  filters: Filter[];
}

export const REFRESH_SECONDS: readonly number[] = [0, 5, 10, 30, 60];

/** The view that an address names; what it does not say, or says unreadably, takes its default. */
export function readView(search: string): View {
  const parameters = new URLSearchParams(search);
  const refresh = Number(parameters.get("refresh") ?? "5");
  return {
    dashboard: parameters.get("dashboard") ?? "",
    range: { from: parameters.get("from") ?? "now-15m", to: parameters.get("to") ?? "now" },
    refreshSeconds: REFRESH_SECONDS.includes(refresh) ? refresh : 5,
    query: parameters.get("query") ?? "",
    filters: readFilters(parameters.get("filters")),
  };
}

/** The address that names a view. */
export function writeView(view: View): string {
  const parameters = new URLSearchParams();
  parameters.set("dashboard", view.dashboard);
  parameters.set("from", view.range.from);
  parameters.set("to", view.range.to);
  parameters.set("refresh", String(view.refreshSeconds));
  if (view.query !== "") parameters.set("query", view.query);
  if (view.filters.length > 0) parameters.set("filters", JSON.stringify(view.filters));
  return `?${parameters}`;
}

function readFilters(text: string | null): Filter[] {
  if (text === null) return [];
  try {
    const read: unknown = JSON.parse(text);
    if (!Array.isArray(read)) return [];
    return read
      .filter((one): one is { query: Record<string, unknown>; negate?: unknown } => isObject(one) && isObject(one["query"]))
      .map((one) => ({ query: one.query, negate: one.negate === true }));
  } catch {
    return [];
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

/** The filters with one more; the same one again changes nothing. */
export function withFilter(filters: Filter[], added: Filter): Filter[] {
  const same = JSON.stringify(added);
  return filters.some((one) => JSON.stringify(one) === same) ? filters : [...filters, added];
}
