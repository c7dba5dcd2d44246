// The tooltip of all panels: one element, filled with text only. Names come from the wire and are hostile input.

let box: HTMLElement | null = null;

export function tooltip(_handler: unknown, event: MouseEvent, _item: unknown, value: unknown): void {
  if (value === null || value === undefined || value === "") {
    hideTooltip();
    return;
  }
  box ??= document.body.appendChild(Object.assign(document.createElement("div"), { className: "tooltip" }));
  box.replaceChildren(...rows(value));
  box.hidden = false;
  const { width, height } = box.getBoundingClientRect();
  const x = event.clientX + 14 + width > window.innerWidth ? event.clientX - width - 10 : event.clientX + 14;
  const y = Math.min(event.clientY + 14, window.innerHeight - height - 4);
  box.style.left = `${Math.max(4, x)}px`;
  box.style.top = `${Math.max(4, y)}px`;
}

export function hideTooltip(): void {
  if (box !== null) box.hidden = true;
}

function rows(value: unknown): HTMLElement[] {
  if (typeof value !== "object") return [line("div", "", String(value))];
  const made: HTMLElement[] = [];
  for (const [key, text] of Object.entries(value as Record<string, unknown>)) {
    if (text === "" || text === undefined || text === null) continue;
    if (key === "title") made.push(line("strong", "", String(text)));
    // Numbered keys only keep the order.
    else made.push(line("div", /^\d+$/.test(key) ? "" : `${key}: `, String(text)));
  }
  return made;
}

function line(tag: string, label: string, text: string): HTMLElement {
  const made = document.createElement(tag);
  made.textContent = label + (text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text);
  return made;
}

// Letters of one line: Kubernetes' longest namespace/name has 317.
const LONGEST = 400;
