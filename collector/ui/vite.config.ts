import { defineConfig } from "vite";

// The collector serves the page under `/` with a strict Content-Security-Policy: nothing inline, no data: scripts.
export default defineConfig({
  base: "./",
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false }, chunkSizeWarningLimit: 1200 },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
});
