/**
 * The scale of a plot's axis: where a value stands, and the ticks that a reader can count with.
 *
 * Pure. Linear ticks are 1, 2 or 5 times a power of ten apart; on a logarithmic axis they are decades,
 * and 2 and 5 times those where there are few. Values outside are clipped to the nearer end.
 */

import type { Axis } from './section.ts';

export interface Tick {
  readonly value: number;
  readonly text: string;
}

export interface Scale {
  readonly low: number;
  readonly high: number;
  readonly ticks: readonly Tick[];
  /** 0 at the low end to 1 at the high one. */
  place(value: number): number;
  contains(value: number): boolean;
}

const wantedTicks = 5;
/** Above so many decades only powers of ten are ticks. */
const fewDecades = 2.5;

/** `values` are what must be seen; without any the scale is 0 to 1. Ends of the axis are kept. */
export function scaleOf(axis: Axis, values: readonly number[]): Scale {
  const known = values.filter(Number.isFinite);
  return axis.log === true ? logScale(axis, known) : linearScale(axis, known);
}

function linearScale(axis: Axis, values: readonly number[]): Scale {
  const wantedLow = axis.from ?? Math.min(...values, Number.POSITIVE_INFINITY);
  const wantedHigh = axis.to ?? Math.max(...values, Number.NEGATIVE_INFINITY);
  const [least, most] = widen(wantedLow, wantedHigh);
  const step = niceStep((most - least) / wantedTicks);
  const isPoint = wantedLow === wantedHigh;
  const low = isPoint ? least : (axis.from ?? Math.floor(least / step + 1e-9) * step);
  const high = isPoint ? most : (axis.to ?? Math.ceil(most / step - 1e-9) * step);
  const ticks: Tick[] = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9; at++) {
    const value = Number((at * step).toPrecision(12));
    ticks.push({ value, text: showNumber(value) });
  }
  return { low, high, ticks, ...placing(low, high, (value) => value) };
}

function logScale(axis: Axis, all: readonly number[]): Scale {
  const values = all.filter((value) => value > 0);
  const from = axis.from !== undefined && axis.from > 0 ? axis.from : undefined;
  const least = from ?? (values.length > 0 ? Math.min(...values) : 1);
  const most = Math.max(axis.to ?? (values.length > 0 ? Math.max(...values) : 10), least);
  const low = from ?? roundedDown(least);
  let high = axis.to ?? roundedUp(most);
  if (!(high > low)) high = low * 10;
  const factors = Math.log10(high / low) <= fewDecades ? [1, 2, 5] : [1];
  const ticks: Tick[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const factor of factors) {
      const value = Number((factor * 10 ** power).toPrecision(12));
      if (value < low * (1 - 1e-9) || value > high * (1 + 1e-9)) continue;
      ticks.push({ value, text: showNumber(value) });
    }
  }
  return { low, high, ticks, ...placing(low, high, Math.log) };
}

function placing(low: number, high: number, unbend: (value: number) => number) {
  const start = unbend(low);
  const length = unbend(high) - start;
  return {
    place: (value: number) => {
      if (value <= low) return 0;
      return Math.min(1, (unbend(value) - start) / length);
    },
    contains: (value: number) => value >= low && value <= high,
  };
}

/** An axis of no length would divide by nothing. */
function widen(low: number, high: number): readonly [number, number] {
  if (!Number.isFinite(low) || !Number.isFinite(high)) {
    const start = Number.isFinite(low) ? low : 0;
    return [start, start + 1];
  }
  if (high > low) return [low, high];
  const margin = Math.abs(low) / 10 || 1;
  return [low === 0 ? 0 : low - margin, low + margin];
}

function niceStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 5, 10].find((each) => each * power >= rough * (1 - 1e-9))!;
  return factor * power;
}

function roundedDown(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value) + 1e-9);
  return [5, 2, 1].find((factor) => factor * power <= value * (1 + 1e-9))! * power;
}

function roundedUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value) + 1e-9);
  return [1, 2, 5, 10].find((factor) => factor * power >= value * (1 - 1e-9))! * power;
}

/** Digits in groups of three, a narrow space between them, from 10 000 on. */
export function showNumber(value: number): string {
  const text = String(Number(value.toPrecision(12))).replace('-', '\u2212');
  if (Math.abs(value) < 10_000 || !Number.isInteger(value)) return text;
  return text.replaceAll(/\B(?=(\d{3})+$)/g, '\u202f');
}
