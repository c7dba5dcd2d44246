// Flows as they come: the collector sends those that the filters choose, and says what it had to leave out.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import type { Field, Hit } from "./api.ts";
import { FlowTable } from "./flow-table.tsx";
import { context, type Filter } from "./kibana.ts";
import { SaveButtons } from "./records.tsx";
import { save } from "./save.ts";

interface Properties {
  filters: Filter[];
  fields: Field[];
  columns: string[];
  addFilter(query: Record<string, unknown>): void;
}

/** What one event of the stream says. */
interface Moment {
  flows: Record<string, unknown>[];
  missed: number;
  passed_by: number;
}

// Rows that are kept: more than anybody reads, and few enough to be drawn at once.
const KEPT = 200;

export function LiveView({ filters, fields, columns, addFilter }: Properties) {
  const [hits, setHits] = useState<Hit[]>([]);
  const [counts, setCounts] = useState({ came: 0, missed: 0, passedBy: 0, held: 0 });
  const [state, setState] = useState<"connecting" | "open" | "lost">("connecting");
  const [problem, setProblem] = useState<string | null>(null);
  const [paused, setPaused] = useState(false);
  const held = useRef<{ paused: boolean; hits: Hit[] }>({ paused: false, hits: [] });
  const number = useRef(0);
  const query = useMemo(() => JSON.stringify(context(null, { from: 0, to: 0 }, filters)), [filters]);

  useEffect(() => {
    setHits([]);
    setCounts({ came: 0, missed: 0, passedBy: 0, held: 0 });
    setState("connecting");
    setProblem(null);
    held.current.hits = [];
    const url = `api/flows?query=${encodeURIComponent(query)}`;
    const source = new EventSource(url);
    source.addEventListener("flows", (event) => {
      const moment = JSON.parse((event as MessageEvent<string>).data) as Moment;
      setState("open");
      setProblem(null);
      const came = moment.flows.map((flow) => ({ _id: String((number.current += 1)), _index: "", _source: flow })).reverse();
      const waiting = [...came, ...held.current.hits].slice(0, KEPT);
      if (held.current.paused) {
        held.current.hits = waiting;
      } else {
        held.current.hits = [];
        setHits((before) => [...waiting, ...before].slice(0, KEPT));
      }
      setCounts((before) => ({
        came: before.came + came.length,
        missed: before.missed + moment.missed,
        passedBy: before.passedBy + moment.passed_by,
        held: held.current.paused ? before.held + came.length : 0,
      }));
    });
    source.addEventListener("error", () => {
      setState("lost");
      // The browser tries again by itself, but for an answer that is no stream: then that answer says why.
      if (source.readyState !== EventSource.CLOSED) return;
      why(url).then(setProblem, () => setProblem("The collector does not answer."));
    });
    return () => source.close();
  }, [query]);

  const pause = () => {
    held.current.paused = !paused;
    setPaused(!paused);
    if (!paused) return;
    const waiting = held.current.hits;
    held.current.hits = [];
    setHits((before) => [...waiting, ...before].slice(0, KEPT));
    setCounts((before) => ({ ...before, held: 0 }));
  };
  const words = { connecting: "Connecting…", open: paused ? "Paused" : "Live", lost: "Connection lost, trying again…" }[state];
  const caption =
    hits.length === 0
      ? state === "open" ? "No flow has come yet that the filters choose: agents export each flow once an interval." : ""
      : `The newest ${hits.length} of ${counts.came.toLocaleString()} flow records that came since this view was opened`;
  return (
    <section class="live" aria-label="Live flows" data-state={paused ? "paused" : state}>
      <h2>Flow records as they come</h2>
      <div class="tools">
        <span class={`lamp ${paused ? "paused" : state}`} role="status">{words}</span>
        <button aria-pressed={paused} onClick={pause}>
          {paused ? `Go on${counts.held > 0 ? ` (${counts.held.toLocaleString()} came meanwhile)` : ""}` : "Pause"}
        </button>
        <button disabled={hits.length === 0} onClick={() => setHits([])}>Empty the table</button>
        <SaveButtons disabled={hits.length === 0} save={(format) => save(hits.map((hit) => hit._source), format)} />
        {counts.missed > 0 && <span class="bad">{counts.missed.toLocaleString()} more were chosen than are shown: filter further</span>}
        {counts.passedBy > 0 && <span class="bad">{counts.passedBy.toLocaleString()} came too fast to be looked at</span>}
      </div>
      {problem !== null && <p class="problem" role="alert">{problem}</p>}
      <div class="records" tabIndex={0} role="region" aria-label="Live flow records">
        <FlowTable hits={hits} columns={columns} fields={fields} caption={caption} addFilter={addFilter} />
      </div>
      <p class="note">All of these are stored as well: Flow Records finds them. The time range does not matter here.</p>
    </section>
  );
}

// Why there is no stream: the answer's own words.
async function why(url: string): Promise<string> {
  const abort = new AbortController();
  const answer = await fetch(url, { signal: abort.signal });
  if (answer.ok) {
    abort.abort();
    return "The stream has ended; choose Live again.";
  }
  const text = await answer.text();
  try {
    const read = JSON.parse(text) as { error?: { reason?: string } };
    return read.error?.reason ?? text;
  } catch {
    return text;
  }
}
