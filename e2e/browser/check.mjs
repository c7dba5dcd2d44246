// What the browser tests share: reading a panel's scene, and saying what is wrong.

import { strict as assert } from "node:assert";

import { openPage, settled } from "./browser.mjs";

export { assert, settled };

/** Runs `body` on a page of the collector; fails on any complaint of the browser. Tells what went wrong. */
export async function check(body, options) {
  const [address, text] = process.argv.slice(2);
  const { browser, page, complaints } = await openPage(options);
  try {
    await body(page, address, JSON.parse(text ?? "{}"));
    assert.deepEqual([...new Set(complaints)], [], "the browser complained");
  } catch (error) {
    console.log(error.stack ?? String(error));
    console.log(`complaints: ${[...new Set(complaints)].join("\n")}`);
    process.exitCode = 1;
  } finally {
    await browser.close();
  }
}

/** Opens a dashboard by its title and waits until all of it is drawn. */
export async function open(page, title) {
  await page.getByRole("navigation").getByRole("link", { name: title, exact: true }).click();
  await page.waitForFunction((wanted) => document.title.startsWith(wanted), title);
  await settled(page);
}

/** The rows of a data set of a panel's running Vega view, without Vega's own fields. */
export function rows(page, panel, data) {
  return page.evaluate(
    ([id, name]) =>
      window.podflowViews.get(id).data(name).map((row) =>
        Object.fromEntries(Object.entries(row).filter(([, value]) => typeof value !== "object" && typeof value !== "symbol")),
      ),
    [panel, data],
  );
}

/** The texts that a panel has drawn, top to bottom as they stand in the document. */
export function texts(page, panel) {
  return page.locator(`[data-panel="${panel}"] svg text`).allTextContents();
}
