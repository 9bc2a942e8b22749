/**
 * Reading environment variables the way OpenTelemetry's specification asks: empty is unset, a value
 * that cannot be read is a warning and then unset, lists are `key=value` pairs with percent-encoding.
 *
 * It collects warnings instead of throwing, and never quotes a pair's value: headers carry tokens.
 */

import { readFileSync } from 'node:fs';

export type Environment = Readonly<Record<string, string | undefined>>;

export class EnvReader {
  readonly warnings: string[] = [];
  readonly #env: Environment;

  constructor(env: Environment) {
    this.#env = env;
  }

  /** Notes, once, that the variable's value is not what is used. */
  warn(name: string, what: string): void {
    const warning = `${name} ${what}`;
    if (!this.warnings.includes(warning)) this.warnings.push(warning);
  }

  /** The trimmed value, or undefined when unset or empty. */
  text(name: string): string | undefined {
    const text = this.#env[name]?.trim();
    return text === '' ? undefined : text;
  }

  /** One of `choices`, compared without case; `otherwise` when unset or unknown. */
  choice<T extends string>(name: string, choices: readonly T[], otherwise: T): T {
    const text = this.text(name);
    if (text === undefined) return otherwise;
    const found = choices.find((choice) => choice === text.toLowerCase());
    if (found === undefined) {
      this.warn(name, `is ${text}, not one of ${choices.join(', ')}; ${otherwise} is used`);
    }
    return found ?? otherwise;
  }

  /** `true` or `false`, compared without case; unset is false. */
  flag(name: string): boolean {
    return this.choice(name, ['true', 'false'], 'false') === 'true';
  }

  /** A whole number from 0. */
  count(name: string, otherwise: number): number {
    return this.#whole(name, otherwise, 0, Number.MAX_SAFE_INTEGER);
  }

  /** A whole number from 1. */
  positive(name: string, otherwise: number): number {
    return this.#whole(name, otherwise, 1, Number.MAX_SAFE_INTEGER);
  }

  /** Milliseconds, `least` or more, that a timer can wait for. */
  milliseconds(name: string, otherwise: number, least: 0 | 1 = 1): number {
    return this.#whole(name, otherwise, least, TIMER_MS_MAX);
  }

  /** A number from 0 to 1. */
  share(name: string, otherwise: number): number {
    const text = this.text(name);
    if (text === undefined) return otherwise;
    const value = Number(text);
    if (value >= 0 && value <= 1) return value;
    this.warn(name, `is ${text}, not a number from 0 to 1; ${otherwise} is used`);
    return otherwise;
  }

  #whole(name: string, otherwise: number, least: number, most: number): number {
    const text = this.text(name);
    if (text === undefined) return otherwise;
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    const used = Number.isFinite(otherwise) ? `${otherwise} is used` : 'there is no limit';
    this.warn(name, `is ${text}, not a whole number from ${least} to ${most}; ${used}`);
    return otherwise;
  }

  /** An absolute http or https URL. */
  url(name: string): string | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const url = URL.parse(text);
    if (url?.protocol === 'http:' || url?.protocol === 'https:') return url.href;
    this.warn(name, 'is not an http or https URL (write http://host:4318); it is ignored');
    return undefined;
  }

  /** `key=value,key=value`, values percent-encoded. One that cannot be read discards them all. */
  pairs(name: string): Record<string, string> {
    const pairs: Record<string, string> = {};
    for (const member of (this.text(name) ?? '').split(',')) {
      if (member.trim() === '') continue;
      const equals = member.indexOf('=');
      const key = member.slice(0, Math.max(equals, 0)).trim();
      const value = decode(member.slice(equals + 1).trim());
      if (key === '' || value === undefined) {
        this.warn(name, 'is not a list of key=value pairs, percent-encoded; it is ignored');
        return {};
      }
      pairs[key] = value;
    }
    return pairs;
  }
  /** As `pairs`, of header fields: one that cannot be sent is named, and discards them all. */
  headers(name: string): Record<string, string> {
    const headers = this.pairs(name);
    for (const [field, value] of Object.entries(headers)) {
      if (isToken(field) && FIELD_VALUE.test(value)) continue;
      const which = isToken(field) ? `value of ${field}` : 'name of a header';
      this.warn(name, `has a ${which} that HTTP does not allow; it is ignored`);
      return {};
    }
    return headers;
  }

  /** The name of a PEM file that can be read. */
  pemFile(name: string): string | undefined {
    const file = this.text(name);
    if (file === undefined) return undefined;
    try {
      if (readFileSync(file, 'latin1').includes('-----BEGIN ')) return file;
      this.warn(name, `is ${file}, which is no PEM file; it is ignored`);
    } catch (error) {
      const { code = 'unreadable' } = error as { readonly code?: string };
      this.warn(name, `is ${file}, which cannot be read (${code}); it is ignored`);
    }
    return undefined;
  }
}

/** What a timer of the platform can wait for: beyond, it waits for 1 ms. */
const TIMER_MS_MAX = 2_147_483_647;

/** A token of HTTP (RFC 9110, 5.6.2): the name of a field, or of a method. */
export function isToken(text: string): boolean {
  return /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(text);
}

/** What Node.js sends as the value of a field. */
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
