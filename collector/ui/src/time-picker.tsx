// The time range and how often the page refreshes itself.

import { useState } from "preact/hooks";

import { REFRESH_SECONDS, type View } from "./state.ts";
import { describe, moment, QUICK } from "./time.ts";

interface Properties {
  view: View;
  go(change: Partial<View>): void;
  refresh(): void;
}

export function TimePicker({ view, go, refresh }: Properties) {
  const [open, setOpen] = useState(false);
  return (
    <div
      class="time"
      onKeyDown={(event) => {
        if (event.key === "Escape") setOpen(false);
      }}
    >
      <button aria-expanded={open} aria-haspopup="dialog" onClick={() => setOpen(!open)}>
        {describe(view.range)} ▾
      </button>
      {open && <Choice view={view} go={go} close={() => setOpen(false)} />}
      <label>
        <span class="unseen">Refresh every</span>
        <select
          title="Refresh every"
          value={String(view.refreshSeconds)}
          onChange={(event) => go({ refreshSeconds: Number(event.currentTarget.value) })}
        >
          {REFRESH_SECONDS.map((seconds) => (
            <option value={String(seconds)} key={seconds}>
              {seconds === 0 ? "No refresh" : `Every ${seconds} s`}
            </option>
          ))}
        </select>
      </label>
      <button class="icon" title="Refresh now" aria-label="Refresh now" onClick={refresh}>
        ⟳
      </button>
    </div>
  );
}

function Choice({ view, go, close }: { view: View; go(change: Partial<View>): void; close(): void }) {
  const [from, setFrom] = useState(view.range.from);
  const [to, setTo] = useState(view.range.to);
  const now = Date.now();
  const start = moment(from, now);
  const end = moment(to, now);
  const wrong =
    start === null || end === null
      ? "Write now, now-15m, or a date and time such as 2026-11-22 20:00."
      : start >= end
        ? "The range ends before it begins."
        : null;
  const choose = (range: View["range"]) => {
    go({ range });
    close();
  };
  return (
    <div class="choice" role="dialog" aria-label="Time range">
      <ul>
        {QUICK.map(([quick, words]) => (
          <li key={quick}>
            <button class="plain" onClick={() => choose({ from: quick, to: "now" })}>
              {words}
            </button>
          </li>
        ))}
      </ul>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (wrong === null) choose({ from: from.trim(), to: to.trim() });
        }}
      >
        <label>
          From <input value={from} onInput={(event) => setFrom(event.currentTarget.value)} />
        </label>
        <label>
          To <input value={to} onInput={(event) => setTo(event.currentTarget.value)} />
        </label>
        {wrong !== null && <p class="problem">{wrong}</p>}
        <button disabled={wrong !== null}>Apply</button>
      </form>
    </div>
  );
}
