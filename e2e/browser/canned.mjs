// A collector made of generated flows, for working on the page and for tests of its looks:
//   node canned.mjs [port] [pods] [pairs]
// It serves collector/ui/dist, the dashboards out of dashboards/kibana.ndjson, and /es over the documents.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";

import { search } from "./aggregate.mjs";
import { flows } from "./generate.mjs";

const root = new URL("../../", import.meta.url);

/** The dashboards as `/api/dashboards` gives them, from the file that Kibana imports. */
export async function catalogue(file = "dashboards/kibana.ndjson") {
  const lines = (await readFile(new URL(file, root), "utf8")).trim().split("\n");
  const objects = lines.map((line) => JSON.parse(line));
  const find = (type, id) => objects.find((one) => one.type === type && one.id === id);
  const dashboards = objects.filter((one) => one.type === "dashboard").map((one) => ({
    id: one.id,
    title: one.attributes.title.replace("Podflow: ", ""),
    description: one.attributes.description,
    panels: JSON.parse(one.attributes.panelsJSON).map((panel) => {
      const reference = one.references.find((each) => each.name === panel.panelRefName);
      const object = find(reference.type, reference.id);
      const { x, y, w, h } = panel.gridData;
      const made = { id: object.id, title: object.attributes.title, grid: { x, y, w, h } };
      if (object.type === "search") return { ...made, kind: "search", columns: object.attributes.columns };
      const state = JSON.parse(object.attributes.visState);
      if (state.type === "markdown") return { ...made, kind: "markdown", text: state.params.markdown };
      return { ...made, kind: "vega", spec: JSON.parse(state.params.spec) };
    }),
  }));
  const pattern = objects.find((one) => one.type === "index-pattern");
  const formats = JSON.parse(pattern.attributes.fieldFormatMap);
  const fields = JSON.parse(pattern.attributes.fields).map((field) => ({
    name: field.name,
    type: field.type,
    index: field.esTypes[0],
    format: format(formats[field.name]),
  }));
  return { dashboards, fields };
}

// As `/api/dashboards` calls them.
function format(written) {
  if (written === undefined || written.id === "url") return null;
  return written.params.pattern === "0" ? "plain" : written.id;
}

const TYPES = { html: "text/html", js: "text/javascript", css: "text/css", svg: "image/svg+xml" };

// As collector/src/page.rs sends it.
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** Starts it; the answer has `port`, `close()`, and `live(…)`, which sends an event to every open live view. */
export async function canned({ port = 0, documents = flows(), status = {} } = {}) {
  const made = await catalogue();
  const watchers = new Set();
  const server = createServer(async (request, response) => {
    const path = new URL(request.url, "http://x").pathname;
    const send = (type, body, code = 200) => {
      response.writeHead(code, { "content-type": type, "content-security-policy": POLICY });
      response.end(body);
    };
    try {
      if (path === "/api/dashboards") return send("application/json", JSON.stringify(made));
      if (path === "/status") return send("application/json", JSON.stringify({ ...STATUS, stored: documents.length, ...status }));
      if (path === "/api/flows") {
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write(event({ flows: [], missed: 0, passed_by: 0 }));
        const watcher = { response, query: JSON.parse(new URL(request.url, "http://x").searchParams.get("query")) };
        watchers.add(watcher);
        request.on("close", () => watchers.delete(watcher));
        return;
      }
      if (path === "/es/") return send("application/json", JSON.stringify({ version: { number: "8.0.0", distribution: "podflow" } }));
      if (path.startsWith("/es/_cat/indices")) {
        const line = { index: "flow-2026.01.01", "docs.count": String(documents.length), "store.size": "123456" };
        return send("application/json", JSON.stringify([line]));
      }
      if (path.startsWith("/es/")) {
        let text = "";
        for await (const chunk of request) text += chunk;
        return send("application/json", JSON.stringify(search(documents, JSON.parse(text))));
      }
      const name = path === "/" ? "/index.html" : path;
      const body = await readFile(new URL(`collector/ui/dist${name}`, root));
      return send(TYPES[name.split(".").at(-1)] ?? "application/octet-stream", body);
    } catch (error) {
      return send("application/json", JSON.stringify({ error: { reason: String(error) } }), 400);
    }
  });
  await new Promise((done) => server.listen(port, "127.0.0.1", done));
  const live = (flows, { missed = 0, passed_by = 0 } = {}) => {
    for (const { response, query } of watchers) {
      const found = search(flows, { query, size: flows.length }).hits.hits.map((hit) => hit._source);
      response.write(event({ flows: found, missed, passed_by }));
    }
    return watchers.size;
  };
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { port: server.address().port, close, live };
}

const event = (data) => `event: flows\ndata: ${JSON.stringify(data)}\n\n`;

const STATUS = {
  version: "0.1.0",
  started: new Date().toISOString(),
  store: { kind: "generated", state: "ready" },
  export_interval_seconds: 10,
  received: { messages: 0, records: 0 },
  stored: 0,
  duplicates: 0,
  rejected: 0,
  dropped: {},
  in_flight: 0,
  exporters: [],
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [port, pods, pairs] = process.argv.slice(2).map(Number);
  const running = await canned({ port: port || 8090, documents: flows({ pods: pods || 24, pairs: pairs || 60 }) });
  console.log(`http://127.0.0.1:${running.port}/`);
}
