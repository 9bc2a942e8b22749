/**
 * A viewer with a Chromium in front of it, started once for a file of tests.
 */

import { after, before } from 'node:test';
import type { Browser } from 'playwright-core';
import {
  openPage,
  startChromium,
  type WatchedPage,
  whyNoChromium,
} from '../../support/chromium.ts';
import { skipWithout } from '../../support/skip-without.ts';
import { type RunningViewer, startViewer } from '../../viewer/viewer-fixture.ts';

export interface ViewedPage {
  /** Of each test: skipped without a Chromium, and guarded against a hang. */
  readonly options: { readonly skip: string | false; readonly timeout: number };
  viewer(): RunningViewer;
  /** A new tab; nothing is opened in it yet. */
  open(): Promise<WatchedPage>;
}

/** Registers start and end of both; `file` is for the message of a skip. */
export function viewedPage(file: string): ViewedPage {
  const options = { skip: skipWithout(file, whyNoChromium()), timeout: 120_000 };
  let viewer: RunningViewer | undefined;
  let browser: Browser | undefined;
  before(async () => {
    if (options.skip !== false) return;
    viewer = await startViewer();
    browser = await startChromium();
  }, options);
  after(async () => {
    await browser?.close();
    await viewer?.close();
  });
  return { options, viewer: () => viewer!, open: () => openPage(browser!) };
}
