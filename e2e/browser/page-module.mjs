// The page's own modules, for tests of what needs no browser: loaded the way Vite builds them.
const vite = await import(new URL("../../collector/ui/node_modules/vite/dist/node/index.js", import.meta.url));

const root = new URL("../../collector/ui/", import.meta.url).pathname;

/** Loads modules by their path under `collector/ui/src`. */
export async function pageModules(...paths) {
  const server = await vite.createServer({ root, configFile: false, logLevel: "error", server: { middlewareMode: true, hmr: false, ws: false, watch: null }, appType: "custom", optimizeDeps: { noDiscovery: true } });
  try {
    return await Promise.all(paths.map((path) => server.ssrLoadModule(`/src/${path}`)));
  } finally {
    await server.close();
  }
}
