// Every panel's spec, run headless in the oldest Vega that Kibana carries (5.17.1) and the newest (6), with the
// data filled in the way Kibana does it. The scene is read: marks, labels, boxes.
import { strict as assert } from "node:assert";
import { createRequire } from "node:module";
import { test } from "node:test";

import * as vega6 from "vega";

import { search } from "./aggregate.mjs";
import { catalogue } from "./canned.mjs";
import { flows } from "./generate.mjs";

// Bundled as Kibana has it: its packages apart would find newer parts of each other.
const vega5 = createRequire(import.meta.url)("vega5/build/vega.js");

const now = Date.now();
const small = flows({ now });
const huge = flows({ now, pods: 1000, pairs: 4000, minutes: 15, every: 60 });

/** The request's body as Kibana sends it for the last quarter of an hour. */
function filled(value) {
  if (Array.isArray(value)) return value.map(filled);
  if (value === null || typeof value !== "object") return value;
  const made = {};
  for (const [key, item] of Object.entries(value)) {
    if (item?.["%autointerval%"]) made.fixed_interval = "30s";
    else if (item?.["%timefilter%"] === "min") made[key] = now - 900_000;
    else if (item?.["%timefilter%"] === "max") made[key] = now;
    else if (item?.["%timefilter%"]) {
      const shift = (item.shift ?? 0) * { day: 86_400_000, week: 604_800_000 }[item.unit ?? "day"];
      made[key] = { gte: now - 900_000 + shift, lte: now + shift };
    } else made[key] = filled(item);
  }
  return made;
}

async function drawn(vega, spec, documents, { width = 620, height = 440 } = {}) {
  const copy = structuredClone(spec);
  for (const data of copy.data) {
    if (!data.url) continue;
    const body = filled(data.url.body);
    if (data.url["%timefield%"]) {
      body.query = { bool: { filter: [{ range: { [data.url["%timefield%"]]: { gte: now - 900_000, lte: now } } }] } };
    }
    data.values = search(documents, body);
    delete data.url;
  }
  const warnings = [];
  // There is no window here; a browser has one.
  const said = (...all) => all.join(" ").includes("event source: window") || warnings.push(all.join(" "));
  const logger = { level: () => logger, error: said, warn: said, info: () => logger, debug: () => logger };
  for (const name of ["kibanaAddFilter", "kibanaRemoveFilter", "kibanaRemoveAllFilters", "kibanaSetTimeFilter"]) vega.expressionFunction(name, () => null);
  const view = new vega.View(vega.parse(copy), { renderer: "none", logger });
  view.width(width).height(height);
  await view.runAsync();
  return { view, warnings, svg: await view.toSVG(), items: items(view.scenegraph().root) };
}

/** All items of a scene with the name of their mark and their box in the picture. */
function items(mark, x = 0, y = 0, found = []) {
  for (const item of mark.items ?? []) {
    const { x1, y1, x2, y2 } = item.bounds;
    found.push({ mark: mark.name, type: mark.marktype, item, box: [x1 + x, y1 + y, x2 + x, y2 + y] });
    for (const below of item.items ?? []) items(below, x + (item.x ?? 0), y + (item.y ?? 0), found);
  }
  return found;
}

const shown = (one) => one.type === "text" && one.item.opacity !== 0 && String(one.item.text ?? "") !== "";

const { dashboards } = await catalogue();
const panels = new Map(dashboards.flatMap((one) => one.panels).filter((one) => one.kind === "vega").map((one) => [one.id, one]));

for (const [version, vega] of [["5.17", vega5], ["6", vega6]]) {
  assert.equal(vega.version.startsWith(version), true);
  for (const panel of panels.values()) {
    test(`${panel.id} runs in Vega ${version}, with and without flows`, async () => {
      const full = await drawn(vega, panel.spec, small);
      assert.deepEqual(full.warnings, []);
      const words = full.items.filter(shown);
      assert(words.length >= 2 || panel.id.includes("policy"), `only ${words.length} texts`);
      assert(!full.svg.includes("NaN") && !full.svg.includes("undefined"), "no hole in the picture");
      const none = await drawn(vega, panel.spec, []);
      assert.deepEqual(none.warnings, []);
      const text = none.items.filter(shown).map((one) => String(one.item.text)).join(" ");
      assert.match(text, /No flows|none in this range|0 records/, text);
    });
  }
}

test("what the Sankey draws adds up to the bytes of the flows", async () => {
  const { view } = await drawn(vega6, panels.get("podflow-pod-to-pod-sankey-tx").spec, small);
  const range = small.filter((one) => one["@timestamp"] >= now - 900_000);
  const total = range.reduce((sum, one) => sum + one["ipfix.octetDeltaCount"], 0);
  const links = view.data("joined").reduce((sum, one) => sum + one.bytes, 0);
  assert.equal(Math.round(links), total);
});

test("with 1,000 Pods no two labels overlap, none is small, and most crossings are avoided", async () => {
  const started = performance.now();
  const { view, items: rolled } = await drawn(vega6, panels.get("podflow-pod-to-pod-sankey-tx").spec, huge, { width: 640, height: 620 });
  const spaces = rolled.filter(shown).filter((one) => one.mark === "leftLabels").map((one) => one.item.text);
  assert(spaces.some((text) => text.startsWith("shop/*")), `by namespace at first: ${spaces}`);
  await view.signal("single", true).runAsync();
  const all = items(view.scenegraph().root);
  const labels = all.filter(shown);
  assert(labels.length > 40, `${labels.length} labels`);
  for (const [at, one] of labels.entries()) {
    assert(one.item.fontSize >= 10, `${one.item.text} is ${one.item.fontSize} px`);
    for (const two of labels.slice(at + 1)) assert(!overlap(one.box, two.box), `${one.item.text} lies on ${two.item.text}`);
  }
  const links = view.data("joined");
  const by = (list, key) => new Map([...new Set(list.map((one) => one[key]))].sort().map((name, place) => [name, place]));
  const [left, right] = [by(links, "l"), by(links, "r")];
  const ours = crossings(links, (one) => one.lplace, (one) => one.rplace);
  const alphabetical = crossings(links, (one) => left.get(one.l), (one) => right.get(one.r));
  assert(ours / alphabetical <= 0.5, `crossings ${(ours / alphabetical).toFixed(2)} of alphabetical order`);
  console.log(`crossings ${(ours / alphabetical).toFixed(2)} of alphabetical order, ${Math.round(performance.now() - started)} ms`);
});

function overlap([a, b, c, d], [e, f, g, h]) {
  // A pixel of blank belongs to every box.
  return a + 1 < g && e + 1 < c && b + 1 < h && f + 1 < d;
}

function crossings(links, left, right) {
  let sum = 0;
  for (const [at, one] of links.entries()) {
    for (const two of links.slice(at + 1)) {
      if ((left(one) - left(two)) * (right(one) - right(two)) < 0) sum += Math.min(one.bytes, two.bytes);
    }
  }
  return sum;
}
