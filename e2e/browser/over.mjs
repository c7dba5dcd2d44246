// The page over generated documents, for tests of the page alone.
import { strict as assert } from "node:assert";

import { openPage, settled } from "./browser.mjs";
import { canned } from "./canned.mjs";

/** Opens a page over these documents, and fails on any complaint of the browser. */
export async function over(setting, body) {
  const server = await canned(setting);
  const { browser, page, complaints } = await openPage(setting);
  try {
    await page.goto(`http://127.0.0.1:${server.port}/?refresh=0${setting.query ?? ""}`);
    await page.waitForSelector('nav a[href*="podflow-"]');
    await body(page, server);
    assert.deepEqual([...new Set(complaints)], []);
  } finally {
    await browser.close();
    server.close();
  }
}

/** Chooses a dashboard of the menu and waits until it is drawn. */
export async function go(page, name) {
  await page.getByRole("navigation").getByRole("link", { name, exact: true }).click();
  await page.waitForFunction((wanted) => document.title.startsWith(wanted), name);
  await settled(page);
}
