// Flows are followed as they come: node live.mjs ADDRESS {"pairs": [[source, destination], …]}
import { assert, check } from "./check.mjs";

await check(async (page, address, { pairs }) => {
  await page.goto(`${address}?dashboard=live&refresh=0`);
  const rows = () =>
    page.$$eval(".live tbody tr", (lines) => lines.map((line) => [...line.querySelectorAll("td")].map((cell) => cell.textContent)));
  const atLeast = (count) => page.waitForFunction((wanted) => document.querySelectorAll(".live tbody tr").length >= wanted, count);
  const known = (cell, name) => (name === "" ? /^\d+\.\d+\.\d+\.\d+$/.test(cell) : cell.endsWith(`/${name}`));
  await atLeast(2 * pairs.length);
  const head = await page.locator(".live th").allTextContents();
  const [source, destination] = ["sourceName", "destinationName"].map((name) => head.indexOf(name));
  for (const row of await rows()) {
    assert(pairs.some(([from, to]) => known(row[source], from) && known(row[destination], to)), `${row} is none of the flows sent`);
  }
  for (const [from, to] of pairs) {
    assert((await rows()).some((row) => known(row[source], from) && known(row[destination], to)), `${from} to ${to} is missing`);
  }

  // What a query chooses, and nothing else, from now on.
  await page.getByRole("combobox", { name: "Query" }).fill('sourcePodName: cart-* and not destinationPodName: "ledger-0"');
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => new URL(location.href).searchParams.has("query"));
  await page.locator(".live caption").filter({ hasText: "came since" }).waitFor();
  await atLeast(3);
  for (const row of await rows()) assert(known(row[source], "cart-7d9f") && known(row[destination], "catalog-5c"), `${row} was not asked for`);

  // A click on a cell filters as well; what stands still while paused goes on afterwards.
  await page.getByRole("button", { name: "Pause" }).click();
  const still = await rows();
  await page.getByRole("button", { name: /^Go on \(\d+ came meanwhile\)$/ }).waitFor();
  assert.deepEqual(await rows(), still);
  await page.getByRole("button", { name: /^Go on/ }).click();
  await atLeast(Math.min(200, still.length + 1));
});
