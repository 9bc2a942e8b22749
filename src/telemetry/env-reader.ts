/**
 * Reading environment variables the way OpenTelemetry's specification asks: empty is unset, a value
 * that cannot be read is a warning and then unset, lists are `key=value` pairs with percent-encoding.
 *
 * It collects warnings instead of throwing, and never quotes a pair's value: headers carry tokens.
 */

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

  /** A whole number from 0. */
  count(name: string, otherwise: number): number {
    return this.#number(name, otherwise, (value) => Number.isSafeInteger(value) && value >= 0);
  }

  /** A whole number from 1. */
  positive(name: string, otherwise: number): number {
    return this.#number(name, otherwise, (value) => Number.isSafeInteger(value) && value > 0);
  }

  /** A number from 0 to 1. */
  share(name: string, otherwise: number): number {
    return this.#number(name, otherwise, (value) => value >= 0 && value <= 1);
  }

  #number(name: string, otherwise: number, isValid: (value: number) => boolean): number {
    const text = this.text(name);
    if (text === undefined) return otherwise;
    const value = Number(text);
    if (isValid(value)) return value;
    this.warn(name, `is ${text}, which is not a number in its range; ${otherwise} is used`);
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
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
