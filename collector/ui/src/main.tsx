import { render } from "preact";

import { App } from "./app.tsx";
import { applyTheme, chosenTheme } from "./theme.ts";
import "./style.css";

applyTheme(chosenTheme());
const place = document.getElementById("app");
if (place !== null) render(<App />, place);
