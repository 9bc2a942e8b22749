/**
 * A real Chromium for tests of the viewer's page: Debian's, driven by playwright-core.
 *
 * `npm run peers chromium` installs it. No sandbox, because tests run as root in containers; it
 * opens nothing but what a test tells it.
 */

import { existsSync } from 'node:fs';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';

/** Where Debian puts it; CHROMIUM names another. */
const program = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** Why there is no Chromium here, or undefined. */
export function whyNoChromium(): string | undefined {
  return existsSync(program) ? undefined : `no ${program}; install it: npm run peers chromium`;
}

/** Starts it without a window; whoever starts it closes it. */
export function startChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: program,
    headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
  });
}

export interface WatchedPage {
  readonly page: Page;
  readonly context: BrowserContext;
  /** What the page complained of: errors of scripts, of the console, of its policy. */
  readonly complaints: string[];
}

/** A tab of its own, which writes down every complaint. */
export async function openPage(
  browser: Browser,
  options: Parameters<Browser['newContext']>[0] = {},
): Promise<WatchedPage> {
  const context = await browser.newContext({
    viewport: { width: 1440, height: 900 },
    locale: 'en-US',
    timezoneId: 'UTC',
    ...options,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  return { page, context, complaints };
}
