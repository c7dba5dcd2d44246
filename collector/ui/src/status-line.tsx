// The line at the foot of the page: what has come in, what is stored, what was lost.

import type { Status } from "./api.ts";

export function StatusLine({ state, now }: { state: Status | null; now: number }) {
  if (state === null) return null;
  // What the other side's agent exports too is not lost.
  const lost = Object.entries(state.dropped).filter(([reason, count]) => count > 0 && reason !== "other_side");
  return (
    <footer>
      <span>{state.exporters.length} exporters</span>
      <span>{state.received.records.toLocaleString()} records received</span>
      <span>{state.stored.toLocaleString()} stored ({state.store.kind})</span>
      {state.duplicates > 0 && <span>{state.duplicates.toLocaleString()} duplicates</span>}
      {state.rejected > 0 && <span class="bad">{state.rejected.toLocaleString()} rejected</span>}
      {lost.map(([reason, count]) => (
        <span class="bad" key={reason}>
          {count.toLocaleString()} dropped: {reason.replaceAll("_", " ")}
        </span>
      ))}
      <span class="right">
        Podflow {state.version}, {new Date(now).toLocaleTimeString()}
      </span>
    </footer>
  );
}
