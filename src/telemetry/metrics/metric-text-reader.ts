/**
 * Metric text reader: checks a page of metrics that somebody else wrote, line by line as it arrives.
 *
 * One wrong line makes a scraper drop the whole page, ours with it, so a page is passed on only when
 * every line of it is one. Grammar: Prometheus' text format 0.0.4, and OpenMetrics 1.0, whose comments
 * are few and which ends in `# EOF`. Families, types and values are not compared with each other: a
 * scraper that minds says so itself, and loses nothing of ours.
 */

import type { TextFormat } from './metric-text.ts';

/** Lines of one family, each with its end. */
export interface MetricBlock {
  /** As HELP, TYPE and UNIT have it; empty for samples before the first of these. */
  readonly family: string;
  /** HELP, TYPE and UNIT. */
  head: string;
  samples: string;
}

export class MetricTextReader {
  readonly format: TextFormat;
  readonly #lineLengthMax: number;
  readonly #blocks: MetricBlock[] = [{ family: '', head: '', samples: '' }];
  #held = '';
  #lines = 0;
  #isEnded = false;
  /** What is wrong with the page, with the number of the line; empty so far. */
  problem = '';

  constructor(format: TextFormat, lineLengthMax: number) {
    this.format = format;
    this.#lineLengthMax = lineLengthMax;
  }

  /** Any part of the text; what comes after a mistake is not looked at. */
  push(text: string): void {
    if (this.problem !== '') return;
    const whole = this.#held + text;
    let start = 0;
    for (;;) {
      const end = whole.indexOf('\n', start);
      if (end === -1) break;
      this.#read(whole.slice(start, whole.charCodeAt(end - 1) === 13 ? end - 1 : end));
      if (this.problem !== '') return;
      start = end + 1;
    }
    this.#held = whole.slice(start);
    // The end of a line may still be missing its second character.
    const length = this.#held.length - Number(this.#held.endsWith('\r'));
    if (length > this.#lineLengthMax) this.#read(this.#held);
  }

  /** The page, once there is no more of it. Nothing when it has a problem. */
  end(): readonly MetricBlock[] {
    if (this.problem === '' && this.#held !== '') this.#read(this.#held);
    if (this.problem === '' && this.format === 'openmetrics' && !this.#isEnded) {
      this.problem = 'it does not end in `# EOF`, so a part of it is missing';
    }
    return this.problem === '' ? this.#blocks : [];
  }

  #read(line: string): void {
    this.#lines += 1;
    if (this.#isEnded) this.#refuse('something follows `# EOF`');
    else if (line.length > this.#lineLengthMax) this.#refuse('it is too long');
    else if (line.startsWith('#')) this.#readComment(line);
    else if (isSample(line, this.format)) this.#blocks.at(-1)!.samples += `${line}\n`;
    else if (line.trim() !== '') this.#refuse(`no sample: ${JSON.stringify(line.slice(0, 80))}`);
    else if (this.format === 'openmetrics') this.#refuse('it is empty');
  }

  #readComment(line: string): void {
    const [, kind = '', family = ''] = line.split(/[ \t]+/, 3);
    if (kind === 'HELP' || kind === 'TYPE' || kind === 'UNIT') {
      if (!isName(family)) this.#refuse(`no name of a family: ${JSON.stringify(family)}`);
      else this.#addHead(family, line);
    } else if (this.format === 'openmetrics') {
      if (line === '# EOF') this.#isEnded = true;
      else this.#refuse('OpenMetrics knows HELP, TYPE, UNIT and EOF only');
    }
    // Other comments of the older format mean nothing, and nobody misses them.
  }

  #addHead(family: string, line: string): void {
    const last = this.#blocks.at(-1)!;
    if (last.family === family) last.head += `${line}\n`;
    else this.#blocks.push({ family, head: `${line}\n`, samples: '' });
  }

  #refuse(why: string): void {
    this.problem = `line ${this.#lines}: ${why}`;
  }
}

function isName(text: string): boolean {
  return /^[A-Za-z_:][A-Za-z0-9_:]*$/.test(text);
}

/** Go's ParseFloat, without its hexadecimal numbers and underscores. */
const valueText =
  /^[+-]?(?:\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|inf(?:inity)?|nan)$/i;
const timeText = /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/** `name{labels} value [time]`, in OpenMetrics with an exemplar: `# {labels} value [time]`. */
function isSample(line: string, format: TextFormat): boolean {
  let at = nameEnd(line, 0, true);
  if (at === 0) return false;
  at = labelsEnd(line, skipBlanks(line, at));
  if (at === -1) return false;
  const exemplar = format === 'openmetrics' ? line.indexOf(' # ', at) : -1;
  if (exemplar === -1) return areNumbers(line.slice(at));
  const labels = skipBlanks(line, exemplar + 3);
  const end = labelsEnd(line, labels);
  return end > labels && areNumbers(line.slice(at, exemplar)) && areNumbers(line.slice(end));
}

function areNumbers(text: string): boolean {
  const [value = '', time, ...more] = text.trim().split(/[ \t]+/, 3);
  if (more.length > 0 || value.length > 64 || !valueText.test(value)) return false;
  return time === undefined || (time.length <= 64 && timeText.test(time));
}

/** Just past the closing brace; `at` where there are no labels, -1 where they are wrong. */
function labelsEnd(line: string, at: number): number {
  if (line[at] !== '{') return at;
  let next = skipBlanks(line, at + 1);
  while (line[next] !== '}') {
    const end = nameEnd(line, next, false);
    const equals = skipBlanks(line, end);
    const quote = skipBlanks(line, equals + 1);
    if (end === next || line[equals] !== '=' || line[quote] !== '"') return -1;
    const closed = quoteEnd(line, quote + 1);
    if (closed === -1) return -1;
    next = skipBlanks(line, closed + 1);
    if (line[next] === ',') next = skipBlanks(line, next + 1);
    else if (line[next] !== '}') return -1;
  }
  return next + 1;
}

/** Where the closing quote stands; -1: nowhere. */
function quoteEnd(line: string, from: number): number {
  for (let at = from; at < line.length; at++) {
    const char = line[at];
    if (char === '"') return at;
    if (char === '\\') at++;
  }
  return -1;
}

function nameEnd(line: string, from: number, takesColon: boolean): number {
  let at = from;
  for (; at < line.length; at++) {
    const code = line.charCodeAt(at);
    const isLetter = (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === 95;
    const isDigit = code >= 48 && code <= 57;
    if (isLetter || (takesColon && code === 58) || (isDigit && at > from)) continue;
    break;
  }
  return at;
}

function skipBlanks(line: string, from: number): number {
  let at = from;
  while (line[at] === ' ' || line[at] === '\t') at++;
  return at;
}
