// What the page asks the collector. Everything is on the page's own origin.

import type { Spec } from "vega";

export interface Grid {
  x: number;
  y: number;
  w: number;
  h: number;
}

interface PanelPlace {
  id: string;
  title: string;
  grid: Grid;
}

export interface VegaContent extends PanelPlace {
  kind: "vega";
  spec: Spec;
}

export interface SearchContent extends PanelPlace {
  kind: "search";
  columns: string[];
}

export interface MarkdownContent extends PanelPlace {
  kind: "markdown";
  text: string;
}

export type Panel = VegaContent | SearchContent | MarkdownContent;

export interface Dashboard {
  id: string;
  title: string;
  description: string;
  panels: Panel[];
}

export interface Field {
  name: string;
  type: string;
  index: string;
  format: string | null;
}

export interface Catalogue {
  dashboards: Dashboard[];
  fields: Field[];
}

export interface Exporter {
  address: string;
  domain: number;
  node: string | null;
  transport: string;
  messages: number;
  records: number;
  gaps: number;
  templates: number;
  sequence_numbers?: "counted" | "unreliable";
  not_sent?: { flows: number; packets: number; octets: number } | null;
  last_seen: string | null;
  clock_skew_ms?: number;
}

export interface Status {
  version: string;
  started: string;
  store: { kind: string; state: string; retention?: string };
  export_interval_seconds: number;
  received: { messages: number; records: number; dropped_messages?: Record<string, number> };
  stored: number;
  duplicates: number;
  rejected: number;
  dropped: Record<string, number>;
  in_flight: number;
  spool?: { documents: number; octets: number };
  exporters_forgotten?: number;
  exporters: Exporter[];
}

export interface Hit {
  _id: string;
  _index: string;
  _source: Record<string, unknown>;
}

export interface SearchAnswer {
  timed_out?: boolean;
  _shards?: { total: number; failed: number; failures?: { reason?: { reason?: string } }[] };
  hits: { total?: { value: number; relation: string }; hits: Hit[] };
  aggregations?: Record<string, unknown>;
}

export const catalogue = () => json<Catalogue>("api/dashboards");

export const status = () => json<Status>("status");

export interface IndexLine {
  index: string;
  documents: number;
  octets: number;
}

/** The indices of flows, with their documents and sizes. */
export async function indices(signal: AbortSignal): Promise<IndexLine[]> {
  const lines = await json<Record<string, string>[]>("es/_cat/indices/flow-*?format=json&bytes=b&h=index,docs.count,store.size", { signal });
  return lines.map((line) => ({ index: line["index"] ?? "", documents: Number(line["docs.count"] ?? 0), octets: Number(line["store.size"] ?? 0) }));
}

/** What the store calls itself, with its version. */
export async function storeVersion(signal: AbortSignal): Promise<string> {
  const about = await json<{ version?: { number?: string; distribution?: string }; tagline?: string }>("es/", { signal });
  return `${about.version?.distribution ?? "elasticsearch"} ${about.version?.number ?? ""}`.trim();
}

export function search(index: string, body: unknown, signal: AbortSignal): Promise<SearchAnswer> {
  return json<SearchAnswer>(`es/${encodeURIComponent(index).replaceAll("%2A", "*")}/_search`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
}

async function json<T>(path: string, init?: RequestInit): Promise<T> {
  const answer = await fetch(path, init);
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}: ${reason(text)}`);
  return JSON.parse(text) as T;
}

// Elasticsearch's error shape where it is one, else the beginning of the text.
function reason(text: string): string {
  try {
    const error = (JSON.parse(text) as { error?: { reason?: string; root_cause?: { reason?: string }[] } }).error;
    return error?.root_cause?.[0]?.reason ?? error?.reason ?? text.slice(0, 200);
  } catch {
    return text.slice(0, 200);
  }
}
