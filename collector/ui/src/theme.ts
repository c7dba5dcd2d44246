// Colours of text and lines in the pictures, read from the style sheet, so that there is one place for them.

import type { Config } from "vega";

/** Kibana sets the same places of the configuration; the specs name no colour of text or background. */
export function vegaConfig(): Config {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const font = "system-ui, 'DejaVu Sans', sans-serif";
  return {
    background: "transparent",
    font,
    axis: {
      labelColor: colour("--soft"),
      titleColor: colour("--text"),
      domainColor: colour("--line"),
      tickColor: colour("--line"),
      gridColor: colour("--line"),
      labelFont: font,
    },
    legend: { labelColor: colour("--soft"), titleColor: colour("--text") },
    title: { color: colour("--text") },
    style: {
      "guide-label": { fill: colour("--soft"), font },
      "guide-title": { fill: colour("--text"), font },
      "group-title": { fill: colour("--text"), font },
    },
  } as Config;
}

export type Theme = "auto" | "light" | "dark";

/** The theme that the user chose, remembered in the browser. */
export function chosenTheme(): Theme {
  const kept = localStorage.getItem("podflow-theme");
  return kept === "light" || kept === "dark" ? kept : "auto";
}

export function applyTheme(theme: Theme): void {
  localStorage.setItem("podflow-theme", theme);
  if (theme === "auto") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
}
