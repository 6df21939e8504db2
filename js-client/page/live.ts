/** What is kept of a stream while it runs: the last items, how many came, how fast, and their numbers as lines. Pure, no DOM. */

import { isRecord } from "./openrpc.js";

/** Items that are kept; those before them have been shown. */
export const KEPT = 100;
/** Points of a line. */
export const POINTS = 400;
const MAX_SERIES = 4;
const RATE_MILLIS = 3_000;

/** One item, and the how manyeth it is, from 1. */
export interface Item {
  readonly number: number;
  readonly value: unknown;
}

/** A line of numbers, newest last. */
export interface Series {
  /** The member or index that it is made of; empty where the items are numbers themselves. */
  readonly name: string;
  readonly values: number[];
}

export class Live {
  count = 0;
  /** The last items, newest last. */
  readonly items: Item[] = [];
  /** The lines; null once an item came that is no number nor made of a few, and before the first. */
  series: readonly Series[] | null = null;
  #isPlottable = true;
  readonly #seen: { readonly at: number; readonly count: number }[] = [];

  add(value: unknown): void {
    this.count += 1;
    this.items.push({ number: this.count, value });
    // Rarely: to take one off the front each time would cost all of them.
    if (this.items.length >= 2 * KEPT) {
      this.items.splice(0, this.items.length - KEPT);
    }
    if (this.#isPlottable) {
      this.#plot(value);
    }
  }

  /** The last `KEPT` items, newest first. */
  last(): readonly Item[] {
    return this.items.slice(-KEPT).reverse();
  }

  /** Items a second, over the last few seconds that were looked at; null before there is anything to say. */
  rate(now: number): number | null {
    const seen = this.#seen;
    seen.push({ at: now, count: this.count });
    while (seen.length > 2 && now - (seen[1]?.at ?? now) >= RATE_MILLIS) {
      seen.shift();
    }
    const [first] = seen;
    if (first === undefined || now - first.at < 500) {
      return null;
    }
    return ((this.count - first.count) * 1000) / (now - first.at);
  }

  #plot(value: unknown): void {
    const numbers = numbersOf(value);
    const names = this.series?.map(({ name }) => name) ?? [];
    if (numbers === null || (this.series !== null && (numbers.length !== names.length || numbers.some(([name], at) => name !== names[at])))) {
      this.#isPlottable = false;
      this.series = null;
      return;
    }
    this.series ??= numbers.map(([name]) => ({ name, values: [] }));
    for (const [at, series] of this.series.entries()) {
      series.values.push(numbers[at]?.[1] ?? NaN);
      if (series.values.length >= 2 * POINTS) {
        series.values.splice(0, series.values.length - POINTS);
      }
    }
  }
}

/** The numbers in an item, by name; null for one that is not made of one to four. */
export function numbersOf(value: unknown): readonly (readonly [string, number])[] | null {
  if (typeof value === "number" || typeof value === "bigint") {
    return [["", Number(value)]];
  }
  if (!Array.isArray(value) && !isRecord(value)) {
    return null;
  }
  const entries = Object.entries(value as object);
  const numbers = entries.flatMap(([name, one]) => (typeof one === "number" || typeof one === "bigint" ? [[name, Number(one)] as const] : []));
  // Beside its numbers a record may hold a label or an instant; a list is all numbers or not a point.
  const fits = numbers.length >= 1 && numbers.length <= MAX_SERIES && entries.length <= 2 * MAX_SERIES;
  return fits && (!Array.isArray(value) || numbers.length === entries.length) ? numbers : null;
}

/** The least and the greatest of what a plot shows; null where there is nothing finite. */
export function rangeOf(series: readonly Series[]): { readonly least: number; readonly greatest: number } | null {
  let least = Infinity;
  let greatest = -Infinity;
  for (const { values } of series) {
    for (const value of values.slice(-POINTS)) {
      if (Number.isFinite(value)) {
        least = Math.min(least, value);
        greatest = Math.max(greatest, value);
      }
    }
  }
  return least > greatest ? null : { least, greatest };
}

/** The lines of one series in a box, newest at its right side; more than one where numbers are missing in between. */
export function linesOf(
  values: readonly number[],
  range: { readonly least: number; readonly greatest: number },
  width: number,
  height: number,
): readonly string[] {
  const shown = values.slice(-POINTS);
  const span = range.greatest - range.least;
  // A few points fill the box too; the line grows from the left until it is full.
  const step = width / Math.max(Math.min(POINTS, shown.length) - 1, 1);
  const lines: string[][] = [[]];
  for (const [at, value] of shown.entries()) {
    if (!Number.isFinite(value)) {
      lines.push([]);
      continue;
    }
    const y = span === 0 || !Number.isFinite(span) ? height / 2 : height - ((value - range.least) / span) * height;
    lines.at(-1)?.push(`${(at * step).toFixed(1)},${y.toFixed(1)}`);
  }
  return lines.filter((line) => line.length > 0).map((line) => (line.length === 1 ? `${line[0]} ${line[0]}` : line.join(" ")));
}
