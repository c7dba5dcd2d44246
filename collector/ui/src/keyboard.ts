// The marks of a picture by keyboard: one stop of the Tab key a panel, arrow keys from mark to mark, Enter for a click.

const STEPS: Record<string, number> = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };

/** What a key does in a picture. Marks are those that say what they are, take up room, and are no axis. */
export function onPictureKey(event: KeyboardEvent): void {
  const picture = event.currentTarget as HTMLElement;
  if (event.key === "Escape") {
    leave(picture);
    picture.focus();
    return;
  }
  const marks = [...picture.querySelectorAll<SVGGraphicsElement>('.role-mark [role="graphics-symbol"]')].filter((mark) => {
    const { width, height } = mark.getBoundingClientRect();
    return width > 0 && height > 0 && getComputedStyle(mark).opacity !== "0";
  });
  const at = marks.indexOf(document.activeElement as SVGGraphicsElement);
  const mark = marks[at];
  if ((event.key === "Enter" || event.key === " ") && mark !== undefined) {
    tell(mark, "mousemove", "click");
  } else {
    const step = STEPS[event.key];
    if (step === undefined || marks.length === 0) return;
    const next = marks[at < 0 ? (step < 0 !== (Math.abs(step) === Infinity) ? marks.length - 1 : 0) : Math.min(marks.length - 1, Math.max(0, at + step))];
    if (next === undefined) return;
    leave(picture);
    next.setAttribute("tabindex", "-1");
    next.focus();
    tell(next, "mouseover", "mousemove");
  }
  event.preventDefault();
}

/** The focus goes out of the picture: what hovering had shown is taken back. */
export function leave(picture: HTMLElement): void {
  const mark = document.activeElement;
  if (mark !== null && mark !== picture && picture.contains(mark)) tell(mark as SVGGraphicsElement, "mouseout");
}

// What the mouse would do in the middle of the mark: the specs need to know of no keyboard.
function tell(mark: SVGGraphicsElement, ...kinds: string[]): void {
  const { x, y, width, height } = mark.getBoundingClientRect();
  const place = { clientX: x + width / 2, clientY: y + height / 2, bubbles: true, cancelable: true, view: window };
  for (const kind of kinds) {
    // Vega hears the one or the other, by its version.
    if (kind !== "click") mark.dispatchEvent(new PointerEvent(kind.replace("mouse", "pointer"), place));
    mark.dispatchEvent(new MouseEvent(kind, place));
  }
}
