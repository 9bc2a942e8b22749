/**
 * One trace: what it is in a line, the whole in a strip, and its waterfall with a panel for the
 * chosen span.
 *
 * Address: `/trace/ID?span=ID`. The element is there at once; the trace is drawn when it has come.
 * A young one is asked for again and grows in place; one that was drawn stays, whatever is answered.
 */

import { layOutTrace, type TraceLayout } from '../trace-layout.ts';
import { ApiProblem, fetchTrace } from './api.ts';
import { every, wallMs } from './clock.ts';
import { el, fill, link, noticeLine } from './dom.ts';
import { TracePicture } from './trace-picture.ts';
import type { View } from './view.ts';

/** Spans of one trace come from several senders, each of which sends every few seconds. */
const youngMs = 30_000;
const refreshMs = 2_000;
const refreshesMax = 15;

export class TraceView implements View {
  readonly title: string;
  readonly element = el('main', 'trace-view');
  readonly #id: string;
  #wantedSpan: string;
  #picture: TracePicture | undefined;
  readonly #notice = el('div');
  #refreshesLeft = refreshesMax;
  #stop = (): void => {};
  #isClosed = false;

  constructor(id: string, parameters: URLSearchParams) {
    this.#id = id;
    this.#wantedSpan = parameters.get('span') ?? '';
    this.title = `trace ${id.slice(0, 8)}`;
    fill(this.element, el('p', 'loading', 'Loading the trace…'));
  }

  opened(): void {
    this.#stop = every(refreshMs, async () => {
      if (!(await this.#load())) this.#stop();
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#stop();
  }

  onKey(key: string): boolean {
    return this.#picture?.onKey(key) ?? false;
  }

  /** Draws the trace if it has other spans than before; whether to ask again. */
  async #load(): Promise<boolean> {
    try {
      const trace = await fetchTrace(this.#id);
      if (this.#isClosed) return false;
      if (trace.spans.length === 0) throw new ApiProblem('The trace has no spans.', 404);
      fill(this.#notice);
      if (trace.spans.length !== this.#picture?.spans) this.#draw(layOutTrace(trace));
      const ageMs = wallMs() - Number((trace.spans[0]?.startNs ?? 0n) / 1_000_000n);
      return ageMs >= 0 && ageMs < youngMs && this.#refreshesLeft-- > 0;
    } catch (error) {
      if (this.#isClosed) return false;
      if (!(error instanceof ApiProblem)) throw error;
      this.#complain(error);
      // Without an answer it is not the trace that is wrong: the viewer may come back.
      const isAway = error.status === 0 || error.status >= 500;
      return isAway || (error.status === 404 && this.#refreshesLeft-- > 0);
    }
  }

  #draw(layout: TraceLayout): void {
    const chosen = this.#picture?.selectedSpan ?? this.#wantedSpan;
    if (this.#picture !== undefined) {
      this.#picture.update(layout);
    } else {
      this.#picture = new TracePicture(layout);
      fill(this.element, this.#notice, this.#picture.elements);
      this.#picture.opened();
    }
    if (chosen === (this.#picture.selectedSpan ?? '')) return;
    const wanted = layout.rows.find(({ span }) => span.spanId === chosen);
    if (wanted === undefined) return;
    this.#picture.select(wanted.index);
    this.#wantedSpan = '';
  }

  #complain(error: ApiProblem): void {
    const isAbsent = error.status === 404;
    if (this.#picture !== undefined) {
      const says = isAbsent ? 'The viewer does not have this trace any more.' : error.message;
      fill(this.#notice, noticeLine(says));
      return;
    }
    fill(
      this.element,
      el(
        'div',
        'empty',
        el('h2', '', isAbsent ? 'This trace is not here' : 'The trace cannot be shown'),
        isAbsent
          ? el(
              'p',
              '',
              'Not sampled, not exported yet (senders do it every few seconds), or dropped for ' +
                'newer ones: ',
              el('code', '', this.#id.slice(0, 64)),
            )
          : el('p', '', error.message),
        el('p', '', link('/', 'button', 'All traces')),
      ),
    );
  }
}
