/**
 * The first steps of the price list as arms: Tracecar's proxy with parts left out.
 *
 * Later steps are forms of the product itself (tracecar.ts). These run ablated-proxy.ts, bundled as the
 * product is when that is what runs, and with the flags and variables of its launcher, so that no step is
 * the price of a bundle or of a larger young generation.
 */

import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { launcherEnvironment, sidecarFlags } from '../../tools/launcher.ts';
import type { Arm, ArmCommand, ArmPlace } from './arm.ts';
import { fillText, readTemplate, root } from './find.ts';
import { describeTracecar, isBundled } from './tracecar.ts';

export type AblationStep = 'relay' | 'parse' | 'route' | 'balance';

const program = 'bench/arms/ablated-proxy.ts';

/** Name and label are the caller's; `setting` says what is left. */
export function ablationArm(step: AblationStep, name: string, label: string, setting: string): Arm {
  return {
    name,
    label,
    setting,
    find: () => ({ version: describeTracecar(), program }),
    prepare: (place) => prepareStep(step, place),
  };
}

export const relayArm: Arm = ablationArm(
  'relay',
  'tracecar-relay',
  'Tracecar, relay only',
  'bytes passed on unread, as captured connections are that speak no HTTP',
);

function prepareStep(step: AblationStep, place: ArmPlace): ArmCommand {
  const resources = readTemplate('arms/tracecar.yaml');
  const file = fillText(
    step === 'route' ? withOneDestination(resources) : resources,
    'resources.yaml',
    place,
  );
  return {
    command: process.execPath,
    args: [
      ...sidecarFlags,
      isBundled() ? bundle(place.directory) : join(root, program),
      ...[step, String(place.port), String(place.backendPort), file],
    ],
    environment: launcherEnvironment,
  };
}

/** The rule without its choice: the first subset takes everything. */
export function withOneDestination(resources: string): string {
  const [first] = /^ *- destination: .*subset: v1\}\n *weight: 60\n/m.exec(resources) ?? [];
  const second = /^ *- destination: .*subset: v2\}\n *weight: 40\n/m;
  if (first === undefined || !second.test(resources)) {
    throw new Error('arms/tracecar.yaml has no split of 60 to 40 between v1 and v2 any more');
  }
  return resources.replace(first, first.replace(/\n *weight: 60\n/, '\n')).replace(second, '');
}

/** As tools/build.ts makes the product's bundles. */
function bundle(directory: string): string {
  const outfile = join(directory, 'ablated-proxy.mjs');
  buildSync({
    entryPoints: [join(root, program)],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node26',
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    logLevel: 'warning',
    banner: { js: "import{createRequire as r}from'node:module';const require=r(import.meta.url);" },
  });
  return outfile;
}
