/**
 * The log of a program: one line an event on stderr, JSON for machines, text on a terminal.
 *
 * Not the access log, which the telemetry worker writes. A line is written at once and never waits:
 * a reader that is gone costs the line, not the program. No request is ever logged here.
 */

import type { Clock } from '../base/clock.ts';
import { printable } from '../base/printable.ts';

export const logLevels = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof logLevels)[number];

/** Plain values that go beside the message. */
export type LogFields = Readonly<Record<string, unknown>>;

export interface LogOutput {
  write(text: string): unknown;
  readonly isTTY?: boolean;
}

const colors: Readonly<Record<LogLevel, string>> = {
  debug: '\u001b[2m',
  info: '\u001b[32m',
  warn: '\u001b[33m',
  error: '\u001b[31m',
};

export class Log {
  /** Lines below it are not written; changed while running through the admin port. */
  level: LogLevel;
  readonly #output: LogOutput;
  readonly #clock: Clock;
  readonly #isText: boolean;

  constructor(level: LogLevel, output: LogOutput, clock: Clock) {
    this.level = level;
    this.#output = output;
    this.#clock = clock;
    this.#isText = output.isTTY === true;
  }

  /** Writes one line unless the level is below the log's. */
  readonly write = (level: LogLevel, message: string, fields?: LogFields): void => {
    if (logLevels.indexOf(level) < logLevels.indexOf(this.level)) return;
    const time = new Date(this.#clock.epochMs + this.#clock.now()).toISOString();
    this.#output.write(
      this.#isText
        ? textLine(time, level, message, fields)
        : `${JSON.stringify({ time, level, message, ...fields })}\n`,
    );
  };
}

function textLine(
  time: string,
  level: LogLevel,
  message: string,
  fields: LogFields | undefined,
): string {
  let line = `${time.slice(11, 23)} ${colors[level]}${level.padEnd(5)}\u001b[0m ${printable(message)}`;
  for (const [name, value] of Object.entries(fields ?? {})) {
    line += ` \u001b[2m${name}=\u001b[0m${typeof value === 'string' ? printable(value) : JSON.stringify(value)}`;
  }
  return `${line}\n`;
}

/** Whether a text names a level. */
export function isLogLevel(text: string): text is LogLevel {
  return (logLevels as readonly string[]).includes(text);
}
