// The page's own views: flows as they come, records as files, the state of the collector.
import { strict as assert } from "node:assert";
import { readFile, readdir } from "node:fs/promises";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

import { flows } from "./generate.mjs";
import { go, over } from "./over.mjs";
import { pageModules } from "./page-module.mjs";

const documents = flows({ pods: 12, pairs: 40, every: 60 });
const link = (page, name) => page.getByRole("navigation").getByRole("link", { name, exact: true });

/** The content of a download that this makes. */
async function downloaded(page, action) {
  const [download] = await Promise.all([page.waitForEvent("download"), action()]);
  return { name: download.suggestedFilename(), text: await readFile(await download.path(), "utf8") };
}

test("flows are followed as they come, filtered, paused, and saved", async () => {
  await over({ documents }, async (page, server) => {
    await link(page, "Live").click();
    await page.locator('.live[data-state="open"]').waitFor();
    const count = (rows) => page.waitForFunction((wanted) => document.querySelectorAll(".live tbody tr").length === wanted, rows);
    server.live(documents.slice(0, 3));
    await count(3);

    await page.getByRole("button", { name: "Pause" }).click();
    server.live(documents.slice(3, 8));
    const on = page.getByRole("button", { name: "Go on (5 came meanwhile)" });
    await on.waitFor();
    await count(3);
    await on.click();
    await count(8);

    // More than is kept, and more than was sent.
    server.live(documents.slice(0, 300), { missed: 41, passed_by: 7 });
    await count(200);
    const tools = await page.locator(".live .tools").textContent();
    assert.match(tools, /41 more were chosen than are shown/);
    assert.match(tools, /7 came too fast/);

    // A filter opens another stream, whose flows it chooses.
    const name = documents.find((one) => one["ipfix.sourcePodName"])["ipfix.sourcePodName"];
    await page.getByRole("combobox", { name: "Query" }).fill(`sourcePodName: "${name}"`);
    await page.keyboard.press("Enter");
    await page.locator('.live[data-state="open"] caption').filter({ hasText: "No flow has come yet" }).waitFor();
    server.live(documents.slice(0, 400));
    const wanted = documents.slice(0, 400).filter((one) => one["ipfix.sourcePodName"] === name).length;
    await count(Math.min(200, wanted));
    const saved = await downloaded(page, () => page.getByRole("button", { name: "Save as JSON" }).click());
    assert.match(saved.name, /^flows-.*\.json$/);
    const read = JSON.parse(saved.text);
    assert.equal(read.length, Math.min(200, wanted));
    assert(read.every((one) => one.ipfix.sourcePodName === name));
    assert.equal(server.live([]), 1, "the stream before is closed");
  });
});

test("a live view without a stream says why, and one that comes back goes on", async () => {
  await over({ documents }, async (page) => {
    let refuse = true;
    const text = "as many live views as there may be are open";
    await page.route("**/api/flows*", (route) => (refuse ? route.fulfill({ status: 503, contentType: "text/plain", body: text }) : route.continue()));
    // The refusal itself is what the browser complains of, on its console; it is wanted here.
    page.removeAllListeners("console");
    await link(page, "Live").click();
    await page.getByRole("alert").filter({ hasText: "as many live views" }).waitFor();
    refuse = false;
    await link(page, "Status").click();
    await link(page, "Live").click();
    await page.locator(".live caption").filter({ hasText: "No flow has come yet" }).waitFor();
  });
});

test("what is filtered is saved as CSV and as JSON", async () => {
  const [from, to] = [Date.now() - 1_200_000, Date.now() - 60_000];
  const query = `&from=${new Date(from).toISOString()}&to=${new Date(to).toISOString()}`;
  const chosen = (one) => one["ipfix.sourcePodNamespace"] === "shop" && one["@timestamp"] >= from && one["@timestamp"] <= to;
  const wanted = documents.filter(chosen).length;
  await over({ documents, query }, async (page) => {
    await go(page, "Flow Records");
    await page.getByRole("combobox", { name: "Query" }).fill("sourcePodNamespace: shop");
    await page.keyboard.press("Enter");
    await page.locator(".records caption").filter({ hasText: `of ${wanted.toLocaleString("en-US")} records` }).waitFor();
    const csv = await downloaded(page, () => page.getByRole("button", { name: "Save as CSV" }).click());
    const [head, ...lines] = csv.text.trimEnd().split("\r\n");
    const column = head.split(",").indexOf("ipfix.sourcePodNamespace");
    assert.equal(lines.length, wanted);
    assert(lines.every((line) => line.split(",")[column] === "shop"));
    const json = await downloaded(page, () => page.getByRole("button", { name: "Save as JSON" }).click());
    assert(JSON.parse(json.text).every((one) => one.ipfix.sourcePodNamespace === "shop"));
  });
});

test("a file of hostile names is quoted, and no spreadsheet runs it", async () => {
  const [{ csv }] = await pageModules("save.ts");
  const names = ['=1+1', "+1", "@SUM(A1)", "-cmd", 'say "hi", twice', "two\nlines", "-5", "plain"];
  const text = csv(names.map((name) => ({ name, count: -5 })));
  assert.equal(
    text,
    ["name,count", "'=1+1,-5", "'+1,-5", "'@SUM(A1),-5", "'-cmd,-5", '"say ""hi"", twice",-5', '"two\nlines",-5', "-5,-5", "plain,-5", ""].join("\r\n"),
  );
});

test("the state says what was lost and why, who sends, and where it is stored", async () => {
  const exporter = { address: "10.0.0.1", domain: 1, node: "node-a", transport: "tcp", messages: 12, records: 300, gaps: 0, templates: 2, sequence_numbers: "counted", not_sent: null, clock_skew_ms: 12 };
  const status = {
    received: { messages: 40, records: 1000, dropped_messages: { queue_full: 3, malformed: 0, kernel: 0 } },
    stored: 900, duplicates: 20, rejected: 5, in_flight: 10,
    dropped: { other_side: 50, shutdown: 0, spool_full: 15, spool_failed: 0, internal: 0 },
    exporters_forgotten: 0,
    store: { kind: "elasticsearch", state: "well", retention: "by ILM, 7 days" },
    spool: { documents: 4, octets: 5000 },
    exporters: [
      { ...exporter, last_seen: new Date().toISOString() },
      { ...exporter, address: "10.0.0.2", node: null, gaps: 17, last_seen: new Date(Date.now() - 3_600_000).toISOString() },
    ],
  };
  await over({ documents, status }, async (page) => {
    await link(page, "Status").click();
    const card = async (id) => (await page.locator(`[data-card="${id}"]`).innerText()).replace(/\s+/g, " ");
    await page.locator('[data-card="storage"] tbody').waitFor();
    const records = await card("records");
    for (const said of ["Received 1,000", "Stored 900", "Lost: spool full 15", "the store was away until the spool was full", "Left to the other side 50", "Every record received is accounted for"]) {
      assert(records.includes(said), `${said}: ${records}`);
    }
    assert.match(await card("messages"), /queue full 3 .*Missing records 17/);
    assert.match(await card("storage"), /by ILM, 7 days.*4 documents, 5.00 kB.*Podflow 0.1.0.*flow-2026.01.01/);
    const exporters = await page.locator('[data-card="exporters"] tbody tr').allInnerTexts();
    assert.match(exporters[0], /10.0.0.2.*17.*silent/s, "what has gaps comes first");
    assert.match(exporters[1], /node-a.*10.0.0.1/s);
  });
});

test("the whole page is small", async () => {
  const folder = new URL("../../collector/ui/dist/", import.meta.url);
  let octets = 0;
  for (const file of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (file.isFile()) octets += gzipSync(await readFile(`${file.parentPath ?? file.path}/${file.name}`)).length;
  }
  assert(octets > 50_000 && octets < 1_500_000, `${octets} octets compressed`);
  console.log(`${Math.round(octets / 1000)} kB compressed`);
});
