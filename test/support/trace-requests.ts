/**
 * Requests with context headers that are drawn from a seed: good ones, odd ones, several at once.
 */

import { type Random, randomBelow } from '../../src/base/random.ts';

export type Field = readonly [name: string, value: string];

const HEX = '0123456789abcdef';

export function hexOf(random: Random, digits: number): string {
  let text = '';
  for (let index = 0; index < digits; index++) text += HEX[randomBelow(random, 16)];
  return text;
}

function oneOf<Item>(random: Random, items: readonly Item[]): Item {
  return items[randomBelow(random, items.length)]!;
}

const chance = (random: Random, of: number) => randomBelow(random, of) === 0;

/** A value of each field as somebody may send it. */
const makers: Readonly<Record<string, (random: Random) => string>> = {
  traceparent: (random) =>
    `${oneOf(random, ['00', '00', '00', '01', 'ff'])}-${hexOf(random, 32)}-${hexOf(random, 16)}-${hexOf(random, 2)}`,
  tracestate: (random) =>
    Array.from({ length: 1 + randomBelow(random, 4) }, () => memberOf(random)).join(
      oneOf(random, [',', ', ', ' ,\t']),
    ),
  b3: (random) =>
    oneOf(random, [
      '0',
      '1',
      'd',
      `${hexOf(random, oneOf(random, [16, 32]))}-${hexOf(random, 16)}`,
      `${hexOf(random, 32)}-${hexOf(random, 16)}-${oneOf(random, ['0', '1', 'd'])}`,
      `${hexOf(random, 16)}-${hexOf(random, 16)}-1-${hexOf(random, 16)}`,
    ]),
  'x-b3-traceid': (random) => hexOf(random, oneOf(random, [16, 32])),
  'x-b3-spanid': (random) => hexOf(random, 16),
  'x-b3-parentspanid': (random) => hexOf(random, 16),
  'x-b3-sampled': (random) => oneOf(random, ['0', '1', 'true', 'false', 'd']),
  'x-b3-flags': (random) => oneOf(random, ['0', '1', '2']),
  'uber-trace-id': (random) =>
    [
      hexOf(random, 1 + randomBelow(random, 32)),
      hexOf(random, 1 + randomBelow(random, 16)),
      '0',
      '1',
    ].join(oneOf(random, [':', '%3A', '%3a'])),
  baggage: (random) => Array.from({ length: randomBelow(random, 90) }, () => 'k=v').join(','),
  'x-request-id': (random) => hexOf(random, 8),
  'x-correlation-id': (random) => hexOf(random, 8),
  'x-amzn-trace-id': (random) => `Root=1-${hexOf(random, 8)}-${hexOf(random, 24)}`,
  'sentry-trace': (random) => `${hexOf(random, 32)}-${hexOf(random, 16)}-1`,
  'x-datadog-trace-id': (random) => String(random.u32()),
  'x-tracecar-join': (random) => oneOf(random, ['preload', 'x']),
  'x-tracecar-hops': (random) => String(randomBelow(random, 9)),
  'x-tracecar-debug': () => 'guess',
};

const names = Object.keys(makers);

function memberOf(random: Random): string {
  return oneOf(random, [
    `rojo=${hexOf(random, 8)}`,
    `congo@t=${hexOf(random, 2)}`,
    `tracecar=${hexOf(random, oneOf(random, [7, 11]))}`,
    `ot=th:${hexOf(random, 1 + randomBelow(random, 14))}`,
    `ot=rv:${hexOf(random, 14)};th:0`,
    '',
  ]);
}

const letters = ' \t,;:=-%@_/*~!gGzZ09afAF\u00e9';

/** The value with something wrong about it, mostly. */
function mangle(random: Random, value: string): string {
  const at = randomBelow(random, value.length + 1);
  const letter = letters[randomBelow(random, letters.length)]!;
  return oneOf(random, [
    value.slice(0, at) + letter + value.slice(at),
    value.slice(0, at) + letter + value.slice(at + 1),
    value.slice(0, at),
    value.slice(at),
    value.toUpperCase(),
    value + value,
    value.replace(/[1-9a-f]/g, '0'),
    letter.repeat(at),
  ]);
}

/** Some fields in some order; one in four is not as it must be, one in eight comes twice. */
export function randomFields(random: Random): Field[] {
  const fields: Field[] = [];
  for (let left = randomBelow(random, 7); left > 0; left--) {
    const name = oneOf(random, names);
    const made = makers[name]!(random);
    fields.push([name, chance(random, 4) ? mangle(random, made) : made]);
    if (chance(random, 8)) fields.push([name, makers[name]!(random)]);
  }
  if (chance(random, 16)) fields.push(['Connection', oneOf(random, names)]);
  return fields;
}

/** The same fields in another order; those of one name keep theirs among themselves. */
export function reordered(random: Random, fields: readonly Field[]): Field[] {
  const left = fields.slice();
  const result: Field[] = [];
  while (left.length > 0) {
    const [name] = oneOf(random, left);
    result.push(
      ...left.splice(
        left.findIndex((each) => each[0] === name),
        1,
      ),
    );
  }
  return result;
}

export function linesOf(fields: readonly Field[]): string {
  return fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
}
