// Time ranges as a user names them ("now-15m", or a moment), and as a query needs them (milliseconds).

export interface Range {
  from: string;
  to: string;
}

export interface Moments {
  from: number;
  to: number;
}

const UNITS: Record<string, number> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** The moment that `text` names, in milliseconds since 1970, or null when it names none. */
export function moment(text: string, now: number): number | null {
  const trimmed = text.trim();
  if (trimmed === "now") return now;
  const relative = /^now-(\d{1,6})([smhdw])$/.exec(trimmed);
  if (relative) return now - Number(relative[1]) * (UNITS[relative[2] ?? ""] ?? 0);
  const absolute = Date.parse(trimmed);
  return Number.isNaN(absolute) ? null : absolute;
}

/** Both ends of a range; an unreadable or reversed range becomes the last quarter of an hour. */
export function moments(range: Range, now: number): Moments {
  const from = moment(range.from, now);
  const to = moment(range.to, now);
  if (from === null || to === null || from >= to) return { from: now - 900_000, to: now };
  return { from, to };
}

/** The interval of a histogram over a range: the narrowest listed one that gives at most 120 buckets. */
export function autoInterval({ from, to }: Moments): string {
  const wanted = (to - from) / 120;
  return (INTERVALS.find(([, width]) => width >= wanted) ?? (["7d", UNITS["w"]] as const))[0];
}

// All up to a minute divide it, so that a bin of whole export intervals holds whole buckets.
const INTERVALS: readonly (readonly [string, number])[] = [
  ["1s", 1000],
  ["5s", 5000],
  ["10s", 10_000],
  ["30s", 30_000],
  ["1m", 60_000],
  ["5m", 300_000],
  ["10m", 600_000],
  ["30m", 1_800_000],
  ["1h", 3_600_000],
  ["3h", 10_800_000],
  ["12h", 43_200_000],
  ["1d", 86_400_000],
];

export const QUICK: readonly (readonly [string, string])[] = [
  ["now-5m", "Last 5 minutes"],
  ["now-15m", "Last 15 minutes"],
  ["now-1h", "Last hour"],
  ["now-6h", "Last 6 hours"],
  ["now-24h", "Last 24 hours"],
  ["now-7d", "Last 7 days"],
];

/** A range in words. */
export function describe(range: Range): string {
  const quick = QUICK.find(([from]) => from === range.from && range.to === "now");
  if (quick) return quick[1];
  const show = (text: string) => {
    const at = text.startsWith("now") ? null : Date.parse(text);
    return at === null || Number.isNaN(at) ? text : new Date(at).toLocaleString();
  };
  return `${show(range.from)} to ${show(range.to)}`;
}
