// The page: the menu of dashboards, the time range, the filters, and the panels of the chosen dashboard.

import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";

import { catalogue, status, type Catalogue, type Dashboard, type Panel, type Status } from "./api.ts";
import { FilterBar } from "./filter-bar.tsx";
import { compile } from "./kql/query.ts";
import type { Filter } from "./kibana.ts";
import { LiveView } from "./live-view.tsx";
import { Markdown } from "./markdown.tsx";
import { QueryBar } from "./query-bar.tsx";
import { Records } from "./records.tsx";
import { StatusLine } from "./status-line.tsx";
import { StatusView } from "./status-view.tsx";
import { readView, withFilter, writeView, type View } from "./state.ts";
import { applyTheme, chosenTheme, type Theme } from "./theme.ts";
import { moments, type Moments } from "./time.ts";
import { TimePicker } from "./time-picker.tsx";
import { registerActions, VegaPanel } from "./vega-panel.tsx";

export function App() {
  const [view, setView] = useState<View>(() => readView(location.search));
  const [now, setNow] = useState(() => Date.now());
  const [made, setMade] = useState<Catalogue | null>(null);
  const [state, setState] = useState<Status | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [theme, setTheme] = useState<Theme>(chosenTheme);
  const dark = useDark();
  const current = useRef(view);
  current.current = view;

  const go = useCallback((change: Partial<View>) => {
    const next = { ...current.current, ...change };
    if (writeView(next) === writeView(current.current)) return;
    current.current = next;
    history.pushState(null, "", writeView(next));
    setView(next);
    setNow(Date.now());
  }, []);

  useEffect(() => {
    registerActions({
      addFilter: (query) => go({ filters: withFilter(current.current.filters, { query, negate: false }) }),
      // A list may offer to take back a filter that another panel has made superfluous: then it is made.
      removeFilter: (query) => {
        const rest = without(current.current.filters, query);
        go({ filters: rest.length < current.current.filters.length ? rest : withFilter(rest, { query, negate: false }) });
      },
      removeAllFilters: () => go({ filters: [] }),
      setTime: (from, to) => go({ range: { from: iso(from), to: iso(to) } }),
    });
    const back = () => setView(readView(location.search));
    addEventListener("popstate", back);
    return () => removeEventListener("popstate", back);
  }, [go]);

  useEffect(() => {
    let stop = false;
    const load = async () => {
      try {
        const read = await catalogue();
        if (!stop) setMade(read);
      } catch (failure) {
        if (!stop) {
          setProblem(String(failure));
          setTimeout(() => void load(), 2000);
        }
      }
    };
    void load();
    return () => {
      stop = true;
    };
  }, []);

  useEffect(() => {
    let stop = false;
    status().then(
      (read) => {
        if (stop) return;
        setState(read);
        setProblem(null);
      },
      (failure: unknown) => {
        if (!stop) setProblem(`The collector does not answer: ${failure instanceof Error ? failure.message : String(failure)}`);
      },
    );
    return () => {
      stop = true;
    };
  }, [now]);

  useEffect(() => {
    if (view.refreshSeconds === 0) return;
    const timer = setInterval(() => {
      if (!document.hidden) setNow(Date.now());
    }, view.refreshSeconds * 1000);
    return () => clearInterval(timer);
  }, [view.refreshSeconds]);

  const range = useMemo(() => moments(view.range, now), [view.range, now]);
  const compiled = useMemo(() => compile(view.query, made?.fields ?? []), [view.query, made]);
  const inForce = useMemo(
    () => (compiled.query === null ? view.filters : [...view.filters, { query: compiled.query, negate: false }]),
    [view.filters, compiled],
  );
  const own = OWN_VIEWS.find((one) => one.id === view.dashboard);
  const dashboard = own ? undefined : (made?.dashboards.find((one) => one.id === view.dashboard) ?? made?.dashboards[0]);
  const shown = own ?? dashboard;
  useEffect(() => {
    document.title = shown ? `${shown.title} · Podflow` : "Podflow";
  }, [shown]);
  const addFilter = (query: Record<string, unknown>) => go({ filters: withFilter(view.filters, { query, negate: false }) });
  const columns = useMemo(() => tableColumns(made), [made]);

  const nextTheme: Theme = theme === "auto" ? (dark ? "light" : "dark") : theme === "dark" ? "light" : "dark";
  return (
    <>
      <header>
        <h1>
          <img src="./icon.svg" alt="" width="22" height="22" /> Podflow
        </h1>
        <nav aria-label="Dashboards">
          {[...(made?.dashboards ?? []), ...OWN_VIEWS].map((one) => (
            <a
              key={one.id}
              href={writeView({ ...view, dashboard: one.id })}
              aria-current={one === shown ? "page" : undefined}
              onClick={(event) => {
                if (event.ctrlKey || event.metaKey || event.shiftKey) return;
                event.preventDefault();
                go({ dashboard: one.id });
              }}
            >
              {one.title}
            </a>
          ))}
        </nav>
        <TimePicker view={view} go={go} refresh={() => setNow(Date.now())} />
        <button
          class="icon"
          title={`Change to the ${nextTheme} theme`}
          aria-label={`Change to the ${nextTheme} theme`}
          onClick={() => {
            applyTheme(nextTheme);
            setTheme(nextTheme);
          }}
        >
          ◐
        </button>
      </header>
      {own?.id !== "status" && (
        <>
          <QueryBar query={view.query} fields={made?.fields ?? []} range={range} filters={view.filters} go={(query) => go({ query })} />
          <FilterBar filters={view.filters} go={go} />
        </>
      )}
      {problem !== null && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      <main>
        {state !== null && state.stored === 0 && own?.id !== "status" && <Waiting state={state} />}
        {own?.id === "status" && <StatusView state={state} now={now} />}
        {compiled.error !== null && <p class="hint">The query cannot be read, so nothing is drawn for it.</p>}
        {own?.id === "live" && made && compiled.error === null && (
          <LiveView filters={inForce} fields={made.fields} columns={columns} addFilter={addFilter} />
        )}
        {dashboard && made && compiled.error === null && (
          <Grid
            dashboard={dashboard}
            made={made}
            range={range}
            filters={inForce}
            exportIntervalMs={(state?.export_interval_seconds ?? 60) * 1000}
            ready={state !== null || problem !== null}
            theme={`${theme} ${dark}`}
            addFilter={addFilter}
          />
        )}
      </main>
      <StatusLine state={state} now={now} />
    </>
  );
}

/** What the page has beside the dashboards: Kibana has no such views. */
const OWN_VIEWS = [
  { id: "live", title: "Live" },
  { id: "status", title: "Status" },
] as const;

/** The columns of the table of flow records, wherever it stands. */
function tableColumns(made: Catalogue | null): string[] {
  const panels = made?.dashboards.flatMap((one) => one.panels) ?? [];
  return panels.find((panel) => panel.kind === "search")?.columns ?? [];
}

interface GridProperties {
  dashboard: Dashboard;
  made: Catalogue;
  range: Moments;
  filters: Filter[];
  exportIntervalMs: number;
  ready: boolean;
  theme: string;
  addFilter(query: Record<string, unknown>): void;
}

function Grid({ dashboard, made, range, filters, exportIntervalMs, ready, theme, addFilter }: GridProperties) {
  if (!ready) return <p class="hint">Loading…</p>;
  const content = (panel: Panel) => {
    switch (panel.kind) {
      case "vega":
        return <VegaPanel panel={panel} range={range} filters={filters} exportIntervalMs={exportIntervalMs} theme={theme} />;
      case "search":
        return <Records panel={panel} range={range} filters={filters} fields={made.fields} addFilter={addFilter} />;
      case "markdown":
        return <Markdown text={panel.text} />;
    }
  };
  // Kibana needs a panel of links; here the menu has them, and every filter travels.
  const panels = dashboard.panels.filter((panel) => !panel.id.endsWith("-navigation"));
  const top = Math.min(...panels.map((panel) => panel.grid.y));
  return (
    <div class="grid" key={dashboard.id}>
      {panels.map((panel) => (
        <section
          key={panel.id}
          class={panel.id.startsWith("podflow-filter-") ? "facet" : undefined}
          aria-label={panel.title}
          style={{
            gridColumn: `${panel.grid.x + 1} / span ${panel.grid.w}`,
            gridRow: `${panel.grid.y - top + 1} / span ${panel.grid.h}`,
            "--rows": panel.grid.h,
          }}
        >
          <h2>{panel.title}</h2>
          {content(panel)}
        </section>
      ))}
    </div>
  );
}

// Nothing is stored yet: when the first export comes, and how far things have come.
function Waiting({ state }: { state: Status }) {
  const first = new Date(Date.parse(state.started) + (state.export_interval_seconds + 5) * 1000);
  const overdue = first.getTime() < Date.now();
  const templates = state.exporters.reduce((sum, exporter) => sum + exporter.templates, 0);
  const dropped = Object.entries(state.dropped).filter(([reason]) => reason !== "other_side");
  const lost = dropped.reduce((sum, [, count]) => sum + count, 0) + state.rejected;
  return (
    <div class="waiting" role="status">
      <strong>No flow has been stored yet.</strong>{" "}
      {overdue
        ? "The first export should have come by now: are there agents, and does their flowCollectorAddr name this collector?"
        : `Agents export every ${state.export_interval_seconds} s: the first flows are expected by ${first.toLocaleTimeString()}.`}{" "}
      So far: {state.exporters.length} exporters, {state.received.messages.toLocaleString()} messages, {templates} templates,{" "}
      {state.received.records.toLocaleString()} records{state.in_flight > 0 && `, ${state.in_flight.toLocaleString()} of them on their way into the store`}
      {lost > 0 && `, ${lost.toLocaleString()} lost`}.
    </div>
  );
}

function useDark(): boolean {
  const query = useMemo(() => matchMedia("(prefers-color-scheme: dark)"), []);
  const [dark, setDark] = useState(query.matches);
  useEffect(() => {
    const change = () => setDark(query.matches);
    query.addEventListener("change", change);
    return () => query.removeEventListener("change", change);
  }, [query]);
  return dark;
}

function without(filters: Filter[], query: Record<string, unknown>): Filter[] {
  const same = JSON.stringify(query);
  return filters.filter((one) => JSON.stringify(one.query) !== same);
}

const iso = (at: number) => new Date(at).toISOString();
