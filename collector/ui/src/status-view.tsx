// The state of the collector: what came and what became of it, what was lost and why, who sends, and where it is stored.

import { useEffect, useState } from "preact/hooks";
import type { ComponentChildren } from "preact";

import { indices, storeVersion, type Exporter, type IndexLine, type Status } from "./api.ts";
import { bytes } from "./units.ts";

interface Properties {
  state: Status | null;
  now: number;
}

export function StatusView({ state, now }: Properties) {
  if (state === null) return <p class="hint">Loading…</p>;
  return (
    <div class="status">
      <Records state={state} />
      <Messages state={state} />
      <Storage state={state} now={now} />
      <Exporters state={state} now={now} />
    </div>
  );
}

function Records({ state }: { state: Status }) {
  const { records } = state.received;
  const lost = Object.entries(state.dropped).filter(([reason]) => reason !== "other_side");
  const otherSide = state.dropped["other_side"] ?? 0;
  const dropped = Object.values(state.dropped).reduce((sum, count) => sum + count, 0);
  const difference = records - state.stored - state.duplicates - state.rejected - dropped - state.in_flight;
  return (
    <Card title="Records: what came, and what became of it" id="records">
      <table>
        <tbody>
          <Line name="Received" count={records} about="decoded from messages, or left in the spool by an earlier run" strong />
          <Line name="Stored" count={state.stored} about="can be found" of={records} />
          <Line name="On their way" count={state.in_flight} about="in a batch, in the spool, or being stored" of={records} />
          <Line name="Duplicates" count={state.duplicates} about="had been stored before: an exporter sent them again" of={records} />
          <Line name="Left to the other side" count={otherSide} about="the source's own agent exports the same flow" of={records} />
          <Line name="Refused by the store" count={state.rejected} about="for good; the log says why, dead letters keep them" of={records} bad />
          {lost.map(([reason, count]) => (
            <Line key={reason} name={`Lost: ${reason.replaceAll("_", " ")}`} count={count} about={WHY_RECORDS[reason] ?? ""} of={records} bad />
          ))}
        </tbody>
      </table>
      <p class={difference === 0 ? "note" : "note bad"}>
        {difference === 0 ? "Every record received is accounted for." : `${difference.toLocaleString()} records are not accounted for.`}
      </p>
    </Card>
  );
}

const WHY_RECORDS: Record<string, string> = {
  shutdown: "the collector had to stop before the store would take them",
  spool_full: "the store was away until the spool was full: make it larger",
  spool_failed: "the spool's disk failed: see the log",
  internal: "a fault of the collector itself: see the log, and report it",
};

function Messages({ state }: { state: Status }) {
  const gaps = state.exporters.reduce((sum, exporter) => sum + exporter.gaps, 0);
  return (
    <Card title="Messages, and what did not come" id="messages">
      <table>
        <tbody>
          <Line name="Messages received" count={state.received.messages} about="over all listeners" strong />
          {Object.entries(state.received.dropped_messages ?? {}).map(([reason, count]) => (
            <Line key={reason} name={`Not decoded: ${reason.replaceAll("_", " ")}`} count={count} about={WHY_MESSAGES[reason] ?? ""} bad />
          ))}
          <Line name="Missing records" count={gaps} about="gaps in sequence numbers: sent, and never came, or not yet" bad />
          <Line name="Exporters forgotten" count={state.exporters_forgotten ?? 0} about="there are more of them than the limit" bad />
        </tbody>
      </table>
    </Card>
  );
}

const WHY_MESSAGES: Record<string, string> = {
  queue_full: "the decoders could not keep up: give the collector more CPU",
  malformed: "no IPFIX or NetFlow v9 as it should be: the log names the exporters",
  kernel: "the socket's buffer was full: raise listen.receiveBuffer and net.core.rmem_max",
};

function Storage({ state, now }: { state: Status; now: number }) {
  const [lines, setLines] = useState<IndexLine[] | null>(null);
  const [version, setVersion] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => {
    const abort = new AbortController();
    Promise.all([indices(abort.signal), storeVersion(abort.signal)]).then(
      ([read, said]) => {
        setLines(read.sort((one, two) => (one.index < two.index ? 1 : -1)));
        setVersion(said);
        setProblem(null);
      },
      (failure: unknown) => {
        if (!abort.signal.aborted) setProblem(failure instanceof Error ? failure.message : String(failure));
      },
    );
    return () => abort.abort();
  }, [now]);
  const total = (of: (line: IndexLine) => number) => (lines ?? []).reduce((sum, line) => sum + of(line), 0);
  const started = Date.parse(state.started);
  return (
    <Card title="Storage and versions" id="storage">
      <dl class="facts">
        <Fact name="Store">{`${state.store.kind}, ${state.store.state}`}</Fact>
        <Fact name="Store's version">{state.store.kind === "embedded" ? `this collector's; it answers as ${version}` : version}</Fact>
        <Fact name="Retention">{state.store.retention ?? ""}</Fact>
        {state.spool !== undefined && state.spool.documents > 0 && (
          <Fact name="Spool">{`${state.spool.documents.toLocaleString()} documents, ${bytes(state.spool.octets)}`}</Fact>
        )}
        <Fact name="Collector">{`Podflow ${state.version}, since ${new Date(started).toLocaleString()} (${span(now - started)})`}</Fact>
        <Fact name="Export interval">{`${state.export_interval_seconds} s`}</Fact>
        {lines !== null && <Fact name="Documents">{`${total((line) => line.documents).toLocaleString()}, ${bytes(total((line) => line.octets))} in ${lines.length} ${lines.length === 1 ? "index" : "indices"}`}</Fact>}
      </dl>
      {problem !== null && <p class="problem">{problem}</p>}
      {lines !== null && lines.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Indices">
          <table>
            <thead>
              <tr>
                <th scope="col">Index</th>
                <th scope="col" class="number">Documents</th>
                <th scope="col" class="number">Size</th>
              </tr>
            </thead>
            <tbody>
              {lines.map((line) => (
                <tr key={line.index}>
                  <td>{line.index}</td>
                  <td class="number">{line.documents.toLocaleString()}</td>
                  <td class="number">{bytes(line.octets)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Card>
  );
}

function Exporters({ state, now }: { state: Status; now: number }) {
  const silentAfter = 3 * state.export_interval_seconds * 1000;
  const age = (exporter: Exporter) => (exporter.last_seen === null ? Infinity : now - Date.parse(exporter.last_seen));
  const sorted = [...state.exporters].sort((one, two) => two.gaps - one.gaps || age(two) - age(one) || (one.address < two.address ? -1 : 1));
  return (
    <Card title={`Exporters (${sorted.length.toLocaleString()})`} id="exporters">
      {sorted.length === 0 && <p class="hint">None has been heard. Agents send to flowCollectorAddr: does it name this collector?</p>}
      {sorted.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Exporters">
          <table>
            <thead>
              <tr>
                {["Node", "Address", "Over", "Domain"].map((name) => (
                  <th scope="col" key={name}>{name}</th>
                ))}
                {["Messages", "Records", "Missing", "Not sent", "Templates", "Clock"].map((name) => (
                  <th scope="col" class="number" key={name}>{name}</th>
                ))}
                <th scope="col">Heard</th>
              </tr>
            </thead>
            <tbody>
              {sorted.map((exporter) => (
                <tr key={`${exporter.address} ${exporter.domain}`}>
                  <td>{exporter.node ?? "–"}</td>
                  <td>{exporter.address}</td>
                  <td>{exporter.transport}</td>
                  <td>{exporter.domain}</td>
                  <td class="number">{exporter.messages.toLocaleString()}</td>
                  <td class="number">{exporter.records.toLocaleString()}</td>
                  <td class={exporter.gaps > 0 ? "number bad" : "number"}>
                    {exporter.sequence_numbers === "unreliable" ? "does not count" : exporter.gaps.toLocaleString()}
                  </td>
                  <td class="number">{exporter.not_sent ? `${exporter.not_sent.flows.toLocaleString()} flows` : "–"}</td>
                  <td class="number">{exporter.templates.toLocaleString()}</td>
                  <td class="number" title="How far its clock is behind ours">
                    {Math.abs(exporter.clock_skew_ms ?? 0) < 1000 ? "right" : `${(-(exporter.clock_skew_ms ?? 0) / 1000).toFixed(0)} s`}
                  </td>
                  <td class={age(exporter) > silentAfter ? "bad" : undefined}>
                    {exporter.last_seen === null ? "never" : `${span(age(exporter))} ago${age(exporter) > silentAfter ? ", silent" : ""}`}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Card>
  );
}

function Card({ title, id, children }: { title: string; id: string; children: ComponentChildren }) {
  return (
    <section aria-label={title} data-card={id}>
      <h2>{title}</h2>
      {children}
    </section>
  );
}

interface LineProperties {
  name: string;
  count: number;
  about: string;
  of?: number;
  strong?: boolean;
  bad?: boolean;
}

function Line({ name, count, about, of, strong = false, bad = false }: LineProperties) {
  const part = of === undefined || of === 0 || count === 0 ? "" : count / of < 0.001 ? "<0.1 %" : `${((100 * count) / of).toFixed(1)} %`;
  return (
    <tr class={bad && count > 0 ? "bad" : strong ? "strong" : undefined}>
      <th scope="row">{name}</th>
      <td class="number">{count.toLocaleString()}</td>
      <td class="number">{part}</td>
      <td class="about">{about}</td>
    </tr>
  );
}

function Fact({ name, children }: { name: string; children: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** A span of time in its largest fitting unit. */
function span(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`;
}
