// The query bar in a browser: typed with what it offers, by keyboard alone; what is wrong is pointed at; the address keeps it.
import { strict as assert } from "node:assert";
import { test } from "node:test";

import { go, over } from "./over.mjs";
import { flows } from "./generate.mjs";

const documents = flows({ pods: 12, pairs: 40 });

test("a query is typed by keyboard with fields and values offered, and is in force", async () => {
  await over({ documents }, async (page) => {
    await go(page, "Pod-to-Pod");
    const box = page.getByRole("combobox", { name: "Query" });
    await box.focus();
    await box.pressSequentially("sourcePodNam");
    await page.getByRole("option", { name: /^ipfix.sourcePodNamespace/ }).waitFor();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    assert.match(await page.locator('.choices [aria-selected="true"]').textContent(), /sourcePodNamespace/);
    await page.keyboard.press("Enter");
    // What the store has most of is offered.
    await page.getByRole("option", { name: /records$/ }).first().waitFor();
    await box.pressSequentially("sho");
    const shop = page.getByRole("option", { name: /^shop [\d,]+ records$/ });
    await shop.waitFor();
    await page.waitForFunction(() => document.querySelectorAll(".choices li").length === 1);
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Tab");
    assert.equal(await box.inputValue(), 'ipfix.sourcePodNamespace: "shop" ');
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => new URL(location.href).searchParams.get("query") === 'ipfix.sourcePodNamespace: "shop"');
    const onlyShop = () => page.waitForFunction(() => {
      const links = window.podflowViews.get("podflow-pod-to-pod-sankey-tx")?.data("joined") ?? [];
      return links.length > 0 && links.every((link) => link.l.startsWith("shop/"));
    });
    await onlyShop();

    // A filter by click comes beside it; the address holds both, and a reload shows the same.
    await page.locator('[data-panel="podflow-pod-to-pod-sankey-tx"] .rightLabels text').first().click();
    await page.locator(".filter").waitFor();
    const url = page.url();
    await page.goto("about:blank");
    await page.goto(url);
    await onlyShop();
    await page.locator(".filter").waitFor();
    assert.equal(await box.inputValue(), 'ipfix.sourcePodNamespace: "shop"');
    await page.getByRole("button", { name: "Clear" }).click();
    assert.equal(await box.inputValue(), "");
  });
});

test("what is wrong in a query is pointed at, and changes nothing until it is right", async () => {
  await over({ documents }, async (page) => {
    await go(page, "Pod-to-Pod");
    const before = page.url();
    const box = page.getByRole("combobox", { name: "Query" });
    await box.fill("sourcePodName: a and octetDeltaCount > many");
    await page.keyboard.press("Enter");
    await page.locator(".pointed.bad mark").waitFor();
    assert.equal(await page.locator(".pointed.bad mark").textContent(), "many");
    assert.equal(page.url(), before);
    assert.equal(await box.getAttribute("aria-invalid"), "true");
    // From an address it is shown as well, and nothing is drawn that would look like its answer.
    await page.goto(`${before}&query=${encodeURIComponent("a and <script>")}`);
    await page.locator(".pointed.bad").waitFor();
    assert.equal(await page.locator(".vega").count(), 0);
  });
});
