// Numbers as text.

/** A number of bytes with an SI prefix. */
export function bytes(count: number): string {
  const steps = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
  let place = 0;
  let rest = count;
  while (rest >= 999.5 && place < steps.length - 1) {
    rest /= 1000;
    place += 1;
  }
  return `${place === 0 ? rest : rest.toPrecision(3)} ${steps[place]}`;
}
