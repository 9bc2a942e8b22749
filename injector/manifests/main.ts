/**
 * `tracecar install` and `tracecar uninstall`: manifests for kubectl on standard output.
 *
 * They speak to no cluster and need none: `tracecar install --image REF | kubectl apply -f -` leaves
 * the rights, the context and the last word with kubectl.
 */

import { readFlags } from '../../src/main/flags.ts';
import { tracecarVersion } from '../../src/main/version.ts';
import { readInstallSettings, uninstallFlags } from './install-settings.ts';
import { manifests, removals } from './manifests.ts';
import { printYamlDocuments } from './yaml-text.ts';

/** Prints the objects of an installation. Throws UsageError. */
export async function runInstall(args: readonly string[]): Promise<number> {
  const settings = readInstallSettings(args, process.env);
  await print(printYamlDocuments(manifests(settings, tracecarVersion())));
  return 0;
}

/** Prints what is to be deleted. Throws UsageError. */
export async function runUninstall(args: readonly string[]): Promise<number> {
  readFlags(uninstallFlags, args, process.env);
  await print(printYamlDocuments(removals(tracecarVersion())));
  return 0;
}

/** The program ends when we return: a pipe must have taken all of it by then. */
function print(text: string): Promise<void> {
  return new Promise((resolve) => process.stdout.write(text, () => resolve()));
}
