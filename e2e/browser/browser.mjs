// A headless Chromium with a page that remembers every complaint.

import { chromium } from "playwright-core";

const ARGUMENTS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

/** Opens a page; `complaints` fills with console errors, failed requests and requests to anywhere else. */
export async function openPage({ width = 1440, height = 1000, colorScheme = "light" } = {}) {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ARGUMENTS });
  const context = await browser.newContext({ viewport: { width, height }, colorScheme, acceptDownloads: true });
  const page = await context.newPage();
  // A machine that builds at the same time is slow; nothing here passes or fails by time.
  page.setDefaultTimeout(180_000);
  const complaints = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`exception: ${error.stack ?? error}`));
  page.on("requestfailed", (request) => {
    // A refresh gives up the answers that it overtakes.
    if (request.failure()?.errorText !== "net::ERR_ABORTED") complaints.push(`request: ${request.url()} ${request.failure()?.errorText}`);
  });
  return { browser, page, complaints };
}

/** Waits until every panel of the dashboard has drawn its data, or the page's own view has what it shows. */
export async function settled(page) {
  await page.waitForFunction(() => {
    const [live, status] = [document.querySelector(".live"), document.querySelector(".status")];
    if (live) return live.dataset.state === "open" || live.dataset.state === "paused";
    if (status) return status.querySelector('[data-card="storage"] dd') !== null && status.querySelector(".facts").textContent.includes("Documents");
    const panels = [...document.querySelectorAll(".vega")];
    return panels.length > 0 && panels.every((panel) => panel.dataset.state === "ready" || panel.dataset.state === "late");
  }, undefined, { timeout: 180_000 });
}
