/**
 * The form above the list of traces: what is looked for, as fields and as an address.
 */

import type { ServiceOperations } from '../view-answers.ts';
import type { SearchQuery } from './api.ts';
import { el, fill } from './dom.ts';

export class SearchForm {
  readonly element: HTMLFormElement;
  readonly #service: HTMLSelectElement;
  readonly #operation: HTMLSelectElement;
  readonly #tags: HTMLInputElement;
  readonly #min: HTMLInputElement;
  readonly #max: HTMLInputElement;
  readonly #error: HTMLInputElement;
  #offered = '';

  constructor(given: URLSearchParams, changed: () => void) {
    const of = (name: string): string => given.get(name) ?? '';
    const onchange = (): void => changed();
    this.#service = el('select', { name: 'service', onchange });
    this.#operation = el('select', { name: 'operation', onchange });
    const field = (name: string, placeholder: string): HTMLInputElement =>
      el('input', {
        name,
        value: of(name),
        placeholder,
        spellcheck: 'false',
        autocomplete: 'off',
        oninput: onchange,
      });
    this.#tags = field('tags', 'tracecar.subset=v2 http.response.status_code=502');
    this.#min = field('min', '1.5ms');
    this.#max = field('max', '2s');
    this.#error = el('input', { type: 'checkbox', name: 'error', onchange });
    this.#error.checked = of('error') === 'true';
    this.#choices(this.#service, 'all services', [], of('service'));
    this.#choices(this.#operation, 'all operations', [], of('operation'));
    const label = (text: string, control: HTMLElement, kind = ''): HTMLElement =>
      el('label', `field ${kind}`, el('span', 'fact-name', text), control);
    this.element = el(
      'form',
      { class: 'search-form', role: 'search', onsubmit: (event: Event) => event.preventDefault() },
      label('service', this.#service),
      label('operation', this.#operation),
      label('tags', this.#tags, 'wide'),
      label('took at least', this.#min, 'short'),
      label('at most', this.#max, 'short'),
      el('label', 'check', this.#error, 'errors only'),
    );
  }

  values(): Omit<SearchQuery, 'limit' | 'before'> {
    return {
      service: this.#service.value,
      operation: this.#operation.value,
      tags: this.#tags.value.trim(),
      min: this.#min.value.trim(),
      max: this.#max.value.trim(),
      error: this.#error.checked,
    };
  }

  get isEmpty(): boolean {
    return this.address() === '';
  }

  /** `?service=web&error=true`, or empty. */
  address(): string {
    const parameters = new URLSearchParams();
    for (const [name, value] of Object.entries(this.values())) {
      if (value !== '' && value !== false) parameters.set(name, String(value));
    }
    return parameters.size === 0 ? '' : `?${parameters}`;
  }

  focus(): void {
    this.#tags.focus();
  }

  /** Fills the two lists with what the store has; what was chosen stays, also when it is gone. */
  offer(services: readonly ServiceOperations[]): void {
    const { service, operation } = this.values();
    const key = JSON.stringify([services, service]);
    if (key === this.#offered) return;
    this.#offered = key;
    this.#choices(
      this.#service,
      'all services',
      services.map((each) => each.service),
      service,
    );
    const operations = services
      .filter((each) => service === '' || each.service === service)
      .flatMap((each) => each.operations);
    this.#choices(this.#operation, 'all operations', [...new Set(operations)].sort(), operation);
  }

  #choices(list: HTMLSelectElement, all: string, values: readonly string[], chosen: string): void {
    const offered = chosen === '' || values.includes(chosen) ? values : [chosen, ...values];
    fill(
      list,
      el('option', { value: '' }, all),
      offered.map((value) => el('option', { value }, value)),
    );
    list.value = chosen;
  }
}
