// Pictures that can be read: text of 10 px and more, with contrast, nothing on top of each other, with 1,000 Pods and in both
// themes; colours that the colour-blind tell apart; marks that the keyboard reaches.
import { strict as assert } from "node:assert";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { flows } from "./generate.mjs";
import { go, over } from "./over.mjs";

/** Every text drawn in a panel, with what it looks like; the panel's own background is behind it. */
function texts() {
  // Runs in the page. Text that is anti-aliased or see-through is judged by what its colours come to.
  const channels = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number);
  const mix = ([r, g, b, a = 1], [x, y, z]) => [r * a + x * (1 - a), g * a + y * (1 - a), b * a + z * (1 - a)];
  const luminance = (colour) => {
    const [r, g, b] = colour.map((one) => (one / 255 <= 0.04045 ? one / 255 / 12.92 : ((one / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  for (const panel of document.querySelectorAll(".vega")) {
    const back = channels(getComputedStyle(panel.closest("section")).backgroundColor);
    for (const text of panel.querySelectorAll("svg text")) {
      const style = getComputedStyle(text);
      let opacity = Number(style.opacity) * Number(style.fillOpacity);
      for (let up = text.parentElement; up.tagName !== "svg"; up = up.parentElement) opacity *= Number(getComputedStyle(up).opacity);
      const { left, top, right, bottom, width } = text.getBoundingClientRect();
      if (opacity === 0 || width === 0 || text.textContent.trim() === "") continue;
      const [red, green, blue] = channels(style.fill);
      const [one, two] = [luminance(mix([red, green, blue, opacity], back)), luminance(back)].sort((a, b) => b - a);
      found.push({
        panel: panel.dataset.panel,
        text: text.textContent,
        size: Number.parseFloat(style.fontSize),
        contrast: (one + 0.05) / (two + 0.05),
        box: [left, top, right, bottom],
        outside: left < panel.getBoundingClientRect().left - 1 || right > panel.getBoundingClientRect().right + 1,
      });
    }
  }
  return found;
}

for (const colorScheme of ["light", "dark"]) {
  test(`with 1,000 Pods every text can be read, in the ${colorScheme} theme`, async () => {
    const documents = flows({ pods: 1000, pairs: 3000, minutes: 16, every: 120 });
    await over({ documents, colorScheme }, async (page) => {
      for (const name of ["Overview", "Pod-to-Pod", "Pod-to-Service", "Flow Records", "Node Throughput", "Pod-to-External"]) {
        await go(page, name);
        const all = await page.evaluate(texts);
        assert(all.length > 30, `${all.length} texts on ${name}`);
        const wrong = [];
        for (const one of all) {
          if (one.size < 10) wrong.push(`${one.panel}: “${one.text}” is ${one.size} px`);
          if (one.contrast < 4.5) wrong.push(`${one.panel}: “${one.text}” has a contrast of ${one.contrast.toFixed(1)}`);
          if (one.outside) wrong.push(`${one.panel}: “${one.text}” goes beyond the panel`);
        }
        for (const [at, one] of all.entries()) {
          for (const two of all.slice(at + 1)) {
            if (one.panel === two.panel && overlap(one.box, two.box)) wrong.push(`${one.panel}: “${one.text}” lies on “${two.text}”`);
          }
        }
        assert.deepEqual(wrong.slice(0, 12), [], `${name} in ${colorScheme}`);
      }
    });
  });
}

// Boxes have the height of a line, of which letters use less: two pixels of it are blank.
function overlap([a, b, c, d], [e, f, g, h]) {
  return a + 1 < g && e + 1 < c && b + 2 < h && f + 2 < d;
}

// What the three kinds of dichromats see, as matrices over linear light (Machado, Oliveira, Fernandes 2009, severity 1).
const SEEN = {
  everybody: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  protanopes: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
  deuteranopes: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
  tritanopes: [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
};

// Lightness and two axes of colour: a distance of 2.3 is just noticed side by side, 20 is told apart at a glance.
function lab([r, g, b]) {
  const f = (t) => (t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116);
  const x = f((0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.95047);
  const y = f(0.2126 * r + 0.7152 * g + 0.0722 * b);
  const z = f((0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.08883);
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

test("the ten colours and the grey of others are told apart by everybody", async () => {
  const [{ range }] = JSON.parse(await readFile(new URL("../../dashboards/specs/colours.json", import.meta.url), "utf8"));
  const macros = await readFile(new URL("../../dashboards/specs/macros.json", import.meta.url), "utf8");
  const others = /#name === \$others\(\) \? '(#[0-9a-f]{6})'/.exec(macros)[1];
  const colours = [...range, others];
  assert.equal(new Set(colours).size, 11);
  for (const [who, matrix] of Object.entries(SEEN)) {
    const seen = colours.map((colour) => {
      const linear = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16) / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
      return lab(matrix.map((row) => Math.min(1, Math.max(0, row.reduce((sum, part, at) => sum + part * linear[at], 0)))));
    });
    for (const [at, one] of seen.entries()) {
      for (const [place, two] of seen.slice(0, at).entries()) {
        const distance = Math.hypot(...one.map((part, axis) => part - two[axis]));
        assert(distance >= 20, `${who} see ${colours[at]} and ${colours[place]} at a distance of ${distance.toFixed(1)}`);
      }
    }
  }
});

test("marks are reached and chosen by keyboard alone", async () => {
  await over({ documents: flows({ pods: 12, pairs: 40 }) }, async (page) => {
    await go(page, "Pod-to-Pod");
    const label = () => page.evaluate(() => document.activeElement.getAttribute("aria-label"));
    for (const [panel, wanted] of [["podflow-pod-to-pod-source-tx", /, [\d.]+ .?bit\/s$/], ["podflow-pod-to-pod-sankey-tx", /, [\d.]+ .?B$/]]) {
      const picture = page.locator(`[data-panel="${panel}"] .reach`);
      await picture.focus();
      assert.match(await label(), /arrow keys/);
      await page.keyboard.press("End");
      await page.keyboard.press("ArrowLeft");
      const said = await label();
      assert.match(said, wanted);
      assert.equal(await page.locator(".tooltip").isVisible(), true);
      await page.keyboard.press("Enter");
      const name = said.slice(0, said.lastIndexOf(", "));
      await page.locator(".filter").filter({ hasText: name }).waitFor();
      await page.locator(".filter").filter({ hasText: name }).getByRole("button", { name: /^Remove/ }).click();
      await page.waitForFunction(() => document.querySelectorAll(".filter").length === 0);
    }
    // Out of the picture by one key, past all of its marks.
    await page.locator('[data-panel="podflow-pod-to-pod-sankey-tx"] .reach').focus();
    await page.keyboard.press("ArrowRight");
    assert.doesNotMatch(await label(), /arrow keys/);
    await page.keyboard.press("Escape");
    assert.match(await label(), /arrow keys/);
  });
});

test("a slow panel holds no other, a failing one says why, an incomplete one what is missing", async () => {
  await over({ documents: flows({ pods: 12, pairs: 40 }) }, async (page) => {
    const state = (panel) => page.locator(`[data-panel="${panel}"]`).getAttribute("data-state");
    let release;
    const released = new Promise((done) => (release = done));
    const failure = { error: { root_cause: [{ reason: "too many buckets" }], type: "x", reason: "all shards failed" }, status: 503 };
    // A refusal is on the browser's own console as well; it is wanted here.
    page.removeAllListeners("console");
    await page.route("**/_search", async (route) => {
      const body = route.request().postData();
      if (body.includes("destinationPodNamespace")) {
        await released;
        return route.continue();
      }
      if (body.includes("ipfix.packets") && body.includes("ipfix.sourceName")) return route.fulfill({ status: 503, json: failure });
      if (body.includes("sourceIP.keyword")) {
        const answer = await (await route.fetch()).json();
        return route.fulfill({ json: { ...answer, _shards: { total: 5, failed: 2, failures: [{ reason: { reason: "disk is full" } }] } } });
      }
      return route.continue();
    });
    await page.reload();
    await page.locator('[data-panel="podflow-overview-destination-bytes"][data-state="ready"]').waitFor();
    const failed = page.locator('[data-panel="podflow-overview-source-packets"][data-state="error"]');
    await failed.waitFor();
    assert.match(await failed.textContent(), /503: too many buckets/);
    const partial = page.locator('[data-panel="podflow-overview-source-address"]').getByText(/^Incomplete/);
    await partial.waitFor();
    assert.equal(await partial.textContent(), "Incomplete: 2 of 5 shards did not answer: disk is full");
    assert.equal(await state("podflow-overview-namespaces"), "loading");
    release();
    await page.locator('[data-panel="podflow-overview-namespaces"][data-state="ready"]').waitFor();
  });
});
