// Takes a picture of every dashboard of a running collector: node look.mjs ADDRESS FOLDER [light|dark] [FROM]
// The pictures under docs/pictures are made with it from `podflow demo`, three minutes after its start.
import { openPage, settled } from "./browser.mjs";

const [address, folder, theme, from] = process.argv.slice(2);
const { browser, page, complaints } = await openPage({ colorScheme: theme === "dark" ? "dark" : "light" });
await page.goto(`${address}?refresh=0&from=${from ?? "now-15m"}`);
await page.waitForSelector('nav a[href*="podflow-"]');
const names = await page.locator("nav a").allTextContents();
for (const name of names) {
  await page.getByRole("navigation").getByRole("link", { name, exact: true }).click();
  await settled(page).catch((error) => console.log(String(error).slice(0, 200)));
  await page.waitForTimeout(300);
  await page.screenshot({ path: `${folder}/${name.toLowerCase().replaceAll(" ", "-")}.png`, fullPage: true });
}
console.log([...new Set(complaints)].slice(0, 8).join("\n") || "no complaint");
await browser.close();
