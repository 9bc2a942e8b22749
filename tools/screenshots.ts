/**
 * `node tools/screenshots.ts [--out DIR] [--dark]`: the pictures of the viewer's page in docs/images.
 *
 * Starts the demo on free ports with a fault planted in YAML: a twelfth of what reviews v2 asks of
 * ratings goes to an endpoint where nobody listens, three hops deep. Sends requests, and takes what
 * Chromium shows. Needs `npm run peers chromium`; about a minute.
 */

import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Page } from 'playwright-core';
import { freePorts } from '../bench/stage/free-ports.ts';
import { Load } from '../examples/ab-rollout/driver/load.ts';
import { startMesh } from '../examples/ab-rollout/driver/mesh.ts';
import { readPlan } from '../examples/ab-rollout/driver/plan.ts';
import { copyOnFreePorts } from '../test/e2e/demo-copy.ts';

import { openPage, startChromium, whyNoChromium } from '../test/support/chromium.ts';

const root = resolve(import.meta.dirname, '..');
const requests = 3_000;
const perSecond = 100;

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: 'docs/images' },
    dark: { type: 'boolean', default: false },
  },
});

/** Sends v2's calls to ratings through a service of its own that has a bad subset. */
async function plantFault(folder: string): Promise<void> {
  const sidecars = join(folder, 'sidecars.yaml');
  const text = readFileSync(sidecars, 'utf8');
  const at = text.indexOf('name: reviews-v2');
  const name = 'ratings.default.svc';
  const host = text.indexOf(name, at);
  writeFileSync(sidecars, `${text.slice(0, host)}ratings-next${text.slice(host + 7)}`);
  const services = readFileSync(join(folder, 'services.yaml'), 'utf8');
  const good = services.slice(services.indexOf('name: ratings')).match(/http: (\d+)/)![1]!;
  const [gone] = await freePorts(1);
  appendFileSync(join(folder, 'ratings-next.yaml'), faultyService(good, String(gone)));
}

function faultyService(good: string, gone: string): string {
  const endpoint = (port: string, version: string): string => `
    - address: 127.0.0.1
      ports: { http: ${port} }
      labels: { app: ratings, version: ${version} }`;
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ratings-next, namespace: default }
spec:
  hosts: [ratings-next.default.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 9080, name: http, protocol: HTTP }]
  endpoints:${endpoint(good, 'stable')}${endpoint(gone, 'canary')}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ratings-next, namespace: default }
spec:
  host: ratings-next
  subsets:
    - { name: stable, labels: { version: stable } }
    - { name: canary, labels: { version: canary } }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ratings-next, namespace: default }
spec:
  hosts: [ratings-next]
  http:
    - route:
        - destination: { host: ratings-next, subset: stable }
          weight: 92
        - destination: { host: ratings-next, subset: canary }
          weight: 8
`;
}

/** About so many a second, so that the lines of the A/B page have a length. */
async function sendCalmly(load: Load): Promise<void> {
  for (let sent = 0; sent < requests; sent += perSecond / 5) {
    await Promise.all([load.send(perSecond / 5, 4, () => {}), wait(200)]);
  }
  // Counts come every five seconds.
  await wait(7_000);
}

/** Of the latest traces that fit the one that took neither long nor short. */
async function usualTrace(viewer: string, query: string): Promise<string | undefined> {
  const answer = await (await fetch(`${viewer}/api/view/search?limit=50&${query}`)).json();
  const { traces } = answer as { traces: { id: string; durationUs: number }[] };
  const sorted = traces.sort((one, other) => one.durationUs - other.durationUs);
  return sorted[Math.floor(sorted.length / 2)]?.id;
}

async function take(page: Page, viewer: string, suffix: string): Promise<void> {
  const shot = async (name: string, path: string, seen: string, act = async () => {}) => {
    await page.goto(`${viewer}${path}`);
    await page.waitForSelector(seen);
    await act();
    // Whatever is focused or hovered over is no part of the picture.
    await page.mouse.move(0, 0);
    await page.screenshot({ path: resolve(root, values.out, `${name}${suffix}.png`) });
    process.stdout.write(`${join(values.out, `${name}${suffix}.png`)}\n`);
  };
  const failed = await usualTrace(viewer, 'error=true&tags=tracecar.subset%3Dv2');
  const good = await usualTrace(viewer, 'tags=tracecar.subset%3Dv1');
  if (failed === undefined || good === undefined)
    throw new Error('no trace of v1 or no failed one');
  await shot('trace', `/trace/${failed}`, '.row', () => page.locator('[data-index="3"]').click());
  await shot('search', '/', '.trace-row');
  await shot('compare', `/compare/${good}/${failed}`, '.pair');
  await shot('graph', '/graph', '.node');
  const routes = await (await fetch(`${viewer}/api/view/routes?seconds=60`)).json();
  const route = (routes as { routes: { route: string; subsets: string[] }[] }).routes.find((each) =>
    each.subsets.includes('v2'),
  );
  if (route === undefined) return;
  await shot('ab', `/ab/${encodeURIComponent(route.route)}?seconds=60`, '.subset');
}

const problem = whyNoChromium();
if (problem !== undefined) throw new Error(problem);
mkdirSync(resolve(root, values.out), { recursive: true });
const folder = await copyOnFreePorts();
await plantFault(folder.path);
const plan = readPlan(folder.path);
const say = (line: string): void => void process.stderr.write(`${line}\n`);
const mesh = await startMesh(plan, folder.path, say, (lastWords) => say(lastWords));
const browser = await startChromium();
const load = new Load(plan.workloads[0]!.inbound, 8);
try {
  await sendCalmly(load);
  for (const colorScheme of values.dark ? (['light', 'dark'] as const) : (['light'] as const)) {
    const viewport = { width: 1440, height: 810 };
    const { page, complaints } = await openPage(browser, { colorScheme, viewport });
    await take(page, mesh.viewer, colorScheme === 'dark' ? '-dark' : '');
    for (const complaint of complaints) say(`the page complains: ${complaint}`);
  }
} finally {
  load.close();
  await browser.close();
  await mesh.end();
  folder.remove();
}
