// What is drawn is what was sent: node drawn.mjs ADDRESS EXPECTED
import { mkdir } from "node:fs/promises";

import { assert, check, open, rows, settled, texts } from "./check.mjs";

await check(async (page, address, expected) => {
  await page.goto(`${address}?refresh=0&from=now-25h`);
  await page.waitForSelector('nav a[href*="podflow-"]');
  await open(page, "Pod-to-Pod");

  for (const [panel, wanted] of [["tx", expected.sent], ["rx", expected.received]]) {
    const id = `podflow-pod-to-pod-sankey-${panel}`;
    const drawn = (await rows(page, id, "joined")).map(({ l, r, bytes }) => [l, r, bytes]);
    assert.deepEqual(drawn.sort(), [...wanted].sort(), `ribbons of ${id}`);
    const labels = await texts(page, id);
    for (const [source, destination] of wanted) {
      assert(labels.some((label) => names(label, source)), `${source} is a label of ${id}: ${labels}`);
      assert(labels.some((label) => names(label, destination)), `${destination} is a label of ${id}`);
    }
    const ribbons = await page.locator(`[data-panel="${id}"] .ribbons path`).count();
    assert.equal(ribbons, wanted.length, `paths of ${id}`);
  }

  // The plateau of the stack is the known rate, whatever the range makes of the bins; only the first may be cut, where the
  // flows begin.
  for (const range of ["now-15m", "now-1h", "now-24h"]) {
    await page.goto(`${address}?dashboard=podflow-pod-to-pod&refresh=0&from=${range}`);
    await settled(page);
    for (const id of ["podflow-pod-to-pod-source-tx", "podflow-pod-to-pod-destination-rx"]) {
      const bins = (await rows(page, id, "moments")).sort((one, two) => one.bin - two.bin).slice(1);
      assert(bins.length >= 12, `${bins.length} bins of ${range}`);
      for (const bin of bins) {
        assert(Math.abs(bin.all / expected.plateau - 1) < 0.05, `${id} over ${range}: ${bin.all} bit/s at ${bin.bin}, expected ${expected.plateau}`);
      }
      // What is drawn is as high as the scale says.
      const height = await page.evaluate(
        ([panel, rate]) => {
          const view = window.podflowViews.get(panel);
          const mark = view.scenegraph().root.items[0].items.find((one) => one.name === "layers");
          const top = Math.min(...mark.items.flatMap((layer) => layer.items[0].items.slice(1).map((point) => point.y)));
          return view.scale("y").invert(top) / rate;
        },
        [id, expected.plateau],
      );
      assert(Math.abs(height - 1) < 0.05, `${id} over ${range} is drawn at ${height} of its rate`);
    }
  }

  await page.goto(`${address}?refresh=0&from=now-25h`);
  await settled(page);
  await open(page, "Flow Records");
  await page.waitForSelector(".records tbody tr");
  const lines = await page.locator(".records tbody tr").count();
  assert.equal(lines, Math.min(100, expected.records));
  assert((await page.locator(".records caption").textContent()).includes(expected.records.toLocaleString("en-US")));
  assert((await texts(page, "podflow-flow-records-count")).join(" ").includes(`${expected.records.toLocaleString("en-US")} records`));

  for (const [query, records] of expected.queries) {
    await page.getByRole("combobox", { name: "Query" }).fill(query);
    await page.keyboard.press("Enter");
    const said = `of ${records.toLocaleString("en-US")} records`;
    await page.locator(".records caption").filter({ hasText: said }).waitFor().catch(async () => {
      assert.fail(`${query} gives “${await page.locator(".records").textContent().catch(() => "nothing")}”, expected ${said}`.slice(0, 300));
    });
  }
  await page.getByRole("button", { name: "Clear" }).click();

  // A click on a label filters, and what is drawn afterwards is only that Pod's.
  await open(page, "Pod-to-Pod");
  const [source] = expected.sent[0];
  const lefts = await page.locator('[data-panel="podflow-pod-to-pod-sankey-tx"] .leftLabels text').allTextContents();
  const at = lefts.findIndex((label) => names(label, source));
  await page.locator('[data-panel="podflow-pod-to-pod-sankey-tx"] .leftLabels text').nth(at).click();
  await page.locator(".filter").filter({ hasText: source }).waitFor();
  await page.waitForFunction(
    (name) => window.podflowViews.get("podflow-pod-to-pod-sankey-tx").data("joined").every((row) => row.l === name),
    source,
  );
  const address2 = page.url();
  await page.goto("about:blank");
  await page.goto(address2);
  await page.locator(".filter").filter({ hasText: source }).waitFor();
  await settled(page);
  const again = await rows(page, "podflow-pod-to-pod-sankey-tx", "joined");
  assert.deepEqual(
    again.map(({ l, r, bytes }) => [l, r, bytes]).sort(),
    expected.sent.filter(([from]) => from === source).sort(),
  );
  await page.goBack();

  await mkdir(expected.pictures, { recursive: true });
  await page.goto(`${address}?refresh=0&from=now-1h`);
  await settled(page);
  await page.screenshot({ path: `${expected.pictures}/pod-to-pod.png` });
});

/** Whether a label, which may have its middle left out, is that name's. */
function names(label, name) {
  const [start, end] = label.split("  ")[0].split("…");
  return name.startsWith(start) && (end === undefined ? name === start : name.endsWith(end));
}
