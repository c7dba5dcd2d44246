// The page with flows that no test cluster has: hostile and endless names, and nothing at all; and
// what holds for every dashboard: keyboard and screen reader, both themes, a phone's width, time zoomed by a drag.
import { strict as assert } from "node:assert";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { test } from "node:test";

import { flows } from "./generate.mjs";
import { go, over } from "./over.mjs";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const HOSTILE = [
  "<img src=x onerror=\"window.stolen=1\">",
  "</script><script>window.stolen=1</script>",
  "'; window.stolen = 1; '",
  "x".repeat(10_000),
  "‮evil\u0000name",
  "{{title}} $bytes(1) \\u0027",
  "__proto__",
];

test("hostile names are only text, wherever they are drawn", async () => {
  await over({ documents: flows({ pods: 8, pairs: 30, names: HOSTILE }) }, async (page) => {
    for (const name of await page.locator("nav a").allTextContents()) await go(page, name);
    await go(page, "Pod-to-Pod");
    for (const label of await page.locator(".leftLabels text").all()) await label.hover();
    await page.locator(".leftLabels text").first().click();
    await page.locator(".filter").first().waitFor();
    await go(page, "Flow Records");
    await page.locator(".records tbody button").first().click();
    await page.locator(".records dl").waitFor();
    assert.equal(await page.evaluate(() => window.stolen), undefined);
    assert.equal(await page.locator("main img").count(), 0);
  });
});

test("every dashboard and view is without serious findings of axe, in both themes", async () => {
  for (const colorScheme of ["light", "dark"]) {
    await over({ documents: flows(), colorScheme }, async (page) => {
      for (const name of await page.locator("nav a").allTextContents()) {
        await go(page, name);
        // The driver evaluates this apart from the page's own policy.
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
        const serious = violations.filter((one) => one.impact === "serious" || one.impact === "critical");
        const told = serious.map((one) => `${one.id}: ${one.nodes.slice(0, 2).map((node) => node.html.slice(0, 160)).join(" | ")}`);
        assert.deepEqual(told, [], `${name} in ${colorScheme}`);
      }
    });
  }
});

test("an empty collector says when the first export comes and what has arrived", async () => {
  const status = { started: new Date().toISOString(), export_interval_seconds: 60, received: { messages: 3, records: 0 }, exporters: [{ templates: 2 }] };
  await over({ documents: [], status }, async (page) => {
    const text = await page.locator(".waiting").textContent();
    assert.match(text, /expected by .*1 exporters, 3 messages, 2 templates, 0 records/);
  });
});

test("a drag over a chart zooms the time, back undoes it, and the address keeps it", async () => {
  await over({ documents: flows() }, async (page) => {
    await go(page, "Pod-to-Pod");
    const before = page.url();
    // Named marks are groups of the picture; the columns lie over the whole plot.
    const box = await page.locator('[data-panel="podflow-pod-to-pod-source-tx"] .columns').boundingBox();
    await page.mouse.move(box.x + box.width * 0.3, box.y + 40);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.6, box.y + 50, { steps: 4 });
    await page.mouse.up();
    await page.waitForFunction((old) => location.href !== old, before);
    const range = new URL(page.url()).searchParams;
    const seconds = (Date.parse(range.get("to")) - Date.parse(range.get("from"))) / 1000;
    assert(seconds > 120 && seconds < 500, `${seconds} s of 15 minutes`);
    await page.goBack();
    assert.equal(page.url(), before);
  });
});

test("a phone's width has no sideways scrolling of the page", async () => {
  await over({ documents: flows(), width: 390, height: 800 }, async (page) => {
    for (const name of await page.locator("nav a").allTextContents()) {
      await go(page, name);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert(wide <= 390, `${name} is ${wide} px wide`);
    }
  });
});
