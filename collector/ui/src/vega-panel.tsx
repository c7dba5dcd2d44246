// One Vega panel: the spec is parsed once, each refresh only brings new data into the running view, so that
// nothing flickers and a hover or a drag survives it.

import { useEffect, useRef, useState } from "preact/hooks";
import { changeset, expressionFunction, parse, View, Warn, type Spec } from "vega";
import { expressionInterpreter } from "vega-interpreter";

import { search, type SearchAnswer, type VegaContent } from "./api.ts";
import { leave, onPictureKey } from "./keyboard.ts";
import { fillRequest, property, type Filter } from "./kibana.ts";
import { vegaConfig } from "./theme.ts";
import type { Moments } from "./time.ts";
import { hideTooltip, tooltip } from "./tooltip.ts";

/** What a panel may do to the page; set once by the page. */
export interface Actions {
  addFilter(query: Record<string, unknown>): void;
  removeFilter(query: Record<string, unknown>): void;
  removeAllFilters(): void;
  setTime(from: number, to: number): void;
}

/** Makes Kibana's functions known to Vega's expressions. */
export function registerActions(actions: Actions): void {
  expressionFunction("kibanaAddFilter", (query: unknown) => void actions.addFilter(query as Record<string, unknown>));
  expressionFunction("kibanaRemoveFilter", (query: unknown) => void actions.removeFilter(query as Record<string, unknown>));
  expressionFunction("kibanaRemoveAllFilters", () => void actions.removeAllFilters());
  expressionFunction("kibanaSetTimeFilter", (from: unknown, to: unknown) => void actions.setTime(Number(from), Number(to)));
}

interface Request {
  data: string;
  url: Record<string, unknown>;
  path: string | undefined;
  /** Whether the spec shows the span before, where it is asked for. */
  spanBefore: boolean;
}

/** A spec without its requests, and the requests. */
function separate(source: Spec, exportIntervalMs: number): { spec: Spec; requests: Request[] } {
  const spec = structuredClone(source);
  const requests: Request[] = [];
  const spanBefore = (spec.signals ?? []).some((signal) => signal.name === "spanBefore");
  for (const data of (spec.data ?? []) as unknown as Record<string, unknown>[]) {
    if (typeof data["url"] !== "object" || data["url"] === null) continue;
    const format = data["format"] as { property?: string } | undefined;
    requests.push({ data: String(data["name"]), url: data["url"] as Record<string, unknown>, path: format?.property, spanBefore });
    delete data["url"];
    delete data["format"];
    data["values"] = [];
  }
  for (const signal of spec.signals ?? []) {
    if (signal.name === "exportInterval") (signal as { value?: unknown }).value = exportIntervalMs;
  }
  return { spec, requests };
}

// The specs fetch nothing themselves, and name no picture and no link.
const noLoader = {
  load: () => Promise.reject(new Error("specs load nothing")),
  sanitize: () => Promise.reject(new Error("specs link to nothing")),
  http: () => Promise.reject(new Error("specs load nothing")),
  file: () => Promise.reject(new Error("specs load nothing")),
  options: {},
  fileAccess: false,
};

interface Properties {
  panel: VegaContent;
  range: Moments;
  filters: Filter[];
  exportIntervalMs: number;
  theme: string;
}

export function VegaPanel({ panel, range, filters, exportIntervalMs, theme }: Properties) {
  const holder = useRef<HTMLDivElement>(null);
  const shown = useRef<{ view: View; requests: Request[] } | null>(null);
  const [state, setState] = useState<"loading" | "ready" | "late">("loading");
  const [error, setError] = useState<string | null>(null);
  const [partial, setPartial] = useState<string | null>(null);
  const answers = useRef(new Map<string, unknown>());

  useEffect(() => {
    const element = holder.current;
    if (element === null) return;
    const { spec, requests } = separate(panel.spec, exportIntervalMs);
    const view = started(spec, element);
    if (typeof view === "string") {
      setError(view);
      return;
    }
    const fit = () => {
      view.width(element.clientWidth).height(element.clientHeight);
      void view.runAsync();
    };
    view.width(element.clientWidth).height(element.clientHeight);
    for (const [name, rows] of answers.current) bring(view, name, rows);
    void view.runAsync();
    const watcher = new ResizeObserver(fit);
    watcher.observe(element);
    shown.current = { view, requests };
    views.set(panel.id, view);
    return () => {
      watcher.disconnect();
      hideTooltip();
      views.delete(panel.id);
      view.finalize();
      element.replaceChildren();
      shown.current = null;
    };
  }, [panel, exportIntervalMs, theme]);

  useEffect(() => {
    const now = shown.current;
    if (now === null) return;
    const abort = new AbortController();
    const late = setTimeout(() => setState((was) => (was === "ready" ? "late" : was)), 500);
    void (async () => {
      try {
        let missing: string | null = null;
        for (const request of now.requests) {
          const body = fillRequest(request.url, range, filters, request.spanBefore);
          const answer = await search(String(request.url["index"]), body, abort.signal);
          missing ??= whatIsMissing(answer);
          const rows = property(answer, request.path);
          answers.current.set(request.data, rows);
          if (shown.current !== null) bring(shown.current.view, request.data, rows);
        }
        // Labels of another width need another layout.
        await shown.current?.view.resize().runAsync();
        setError(null);
        setPartial(missing);
        setState("ready");
      } catch (failure) {
        if (!abort.signal.aborted) setError(failure instanceof Error ? failure.message : String(failure));
      } finally {
        clearTimeout(late);
      }
    })();
    return () => {
      clearTimeout(late);
      abort.abort();
    };
  }, [panel, range, filters, exportIntervalMs]);

  return (
    <div class={`vega ${state}`} data-panel={panel.id} data-state={error === null ? state : "error"}>
      <div
        class="reach"
        role="group"
        tabIndex={0}
        aria-label={`${panel.title}: arrow keys go from mark to mark, Enter filters by one`}
        onKeyDown={onPictureKey}
        onBlurCapture={(event) => leave(event.currentTarget)}
      >
        <div class="picture" ref={holder} />
      </div>
      {state === "loading" && error === null && <p class="hint">Loading…</p>}
      {error === null && partial !== null && (
        <p class="problem" role="status">
          {partial}
        </p>
      )}
      {error !== null && (
        <p class="problem" role="alert">
          {error}
        </p>
      )}
    </div>
  );
}

/** What an answer leaves out, in words; null where it is whole. */
function whatIsMissing({ timed_out, _shards }: SearchAnswer): string | null {
  if (_shards !== undefined && _shards.failed > 0) {
    const reason = _shards.failures?.[0]?.reason?.reason ?? "the server does not say why";
    return `Incomplete: ${_shards.failed} of ${_shards.total} shards did not answer: ${reason}`;
  }
  return timed_out === true ? "Incomplete: the server ended the search at its time limit." : null;
}

/** The running view, or what is wrong with the spec: one broken panel does not take the others with it. */
function started(spec: Spec, container: HTMLElement): View | string {
  try {
    return new View(parse(spec, vegaConfig(), { ast: true }), {
      container,
      expr: expressionInterpreter,
      hover: true,
      loader: noLoader as never,
      logLevel: Warn,
      renderer: "svg",
      tooltip,
    } as never);
  } catch (failure) {
    return `This panel's spec does not run: ${failure instanceof Error ? failure.message : String(failure)}`;
  }
}

function bring(view: View, name: string, rows: unknown): void {
  const list = rows === undefined || rows === null ? [] : Array.isArray(rows) ? rows : [rows];
  view.change(name, changeset().remove(() => true).insert(list));
}

/** The running views by panel, for tests: `podflowViews.get(id).data("links")`. */
const views = new Map<string, View>();
(window as unknown as { podflowViews: Map<string, View> }).podflowViews = views;
