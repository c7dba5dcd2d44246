// The table of stored flow records, newest first: what Kibana shows as a saved search; and as a file.

import { useEffect, useState } from "preact/hooks";

import { search, type Field, type Hit, type SearchContent } from "./api.ts";
import { FlowTable } from "./flow-table.tsx";
import { context, type Filter } from "./kibana.ts";
import { save, type Format } from "./save.ts";
import type { Moments } from "./time.ts";

interface Properties {
  panel: SearchContent;
  range: Moments;
  filters: Filter[];
  fields: Field[];
  addFilter(query: Record<string, unknown>): void;
}

const PAGE = 100;

// What Elasticsearch gives at once, unless it is told otherwise (`index.max_result_window`).
const MOST_SAVED = 10_000;

export function Records({ panel, range, filters, fields, addFilter }: Properties) {
  const [hits, setHits] = useState<Hit[] | null>(null);
  const [total, setTotal] = useState(0);
  const [error, setError] = useState<string | null>(null);
  const [saving, setSaving] = useState("");

  const found = (size: number, signal: AbortSignal) =>
    search(
      "flow-*",
      { size, track_total_hits: true, sort: [{ "@timestamp": "desc" }], query: context("@timestamp", range, filters) },
      signal,
    );

  useEffect(() => {
    const abort = new AbortController();
    found(PAGE, abort.signal).then(
      (answer) => {
        setHits(answer.hits.hits);
        setTotal(answer.hits.total?.value ?? 0);
        setError(null);
      },
      (failure: unknown) => {
        if (!abort.signal.aborted) setError(failure instanceof Error ? failure.message : String(failure));
      },
    );
    return () => abort.abort();
  }, [panel, range, filters]);

  const download = async (format: Format) => {
    setSaving("asking for the records…");
    try {
      const answer = await found(MOST_SAVED, new AbortController().signal);
      const all = answer.hits.total?.value ?? answer.hits.hits.length;
      save(
        answer.hits.hits.map((hit) => hit._source),
        format,
      );
      const saved = answer.hits.hits.length;
      setSaving(all > saved ? `saved the newest ${saved.toLocaleString()} of ${all.toLocaleString()}` : `saved ${saved.toLocaleString()} records`);
    } catch (failure) {
      setSaving(`not saved: ${failure instanceof Error ? failure.message : String(failure)}`);
    }
  };

  if (error !== null) return <p class="problem" role="alert">{error}</p>;
  if (hits === null) return <p class="hint">Loading…</p>;
  if (hits.length === 0) return <p class="hint">No flow records in this range.</p>;
  const caption = `The newest ${hits.length} of ${total.toLocaleString()} records`;
  return (
    <>
      <div class="tools">
        <SaveButtons save={(format) => void download(format)} />
        <span role="status">{saving}</span>
      </div>
      <div class="records" data-panel={panel.id} tabIndex={0} role="region" aria-label="Flow records">
        <FlowTable hits={hits} columns={panel.columns} fields={fields} caption={caption} addFilter={addFilter} />
      </div>
    </>
  );
}

export function SaveButtons({ save, disabled = false }: { save(format: Format): void; disabled?: boolean }) {
  return (
    <>
      <button disabled={disabled} title={`What is filtered, at most ${MOST_SAVED.toLocaleString()} records`} onClick={() => save("csv")}>
        Save as CSV
      </button>
      <button disabled={disabled} title={`What is filtered, at most ${MOST_SAVED.toLocaleString()} records`} onClick={() => save("json")}>
        Save as JSON
      </button>
    </>
  );
}
