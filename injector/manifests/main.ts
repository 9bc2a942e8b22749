/**
 * `tracecar install` and `tracecar uninstall`: manifests for kubectl on standard output.
 *
 * They speak to no cluster and need none: `tracecar install --image REF | kubectl apply -f -` leaves
 * the rights, the context and the last word with kubectl. What a person should know beside the
 * manifests is said on standard error.
 */

import { readFlags } from '../../src/main/flags.ts';
import { tracecarVersion } from '../../src/main/version.ts';
import { injectKey } from '../annotations.ts';
import { readInstallSettings, uninstallFlags } from './install-settings.ts';
import { manifests, removals } from './manifests.ts';
import { printYamlDocuments } from './yaml-text.ts';

/** Prints the objects of an installation. Throws UsageError. */
export async function runInstall(args: readonly string[]): Promise<number> {
  const settings = readInstallSettings(args, process.env);
  await print(printYamlDocuments(manifests(settings, tracecarVersion())));
  if (settings.otlpEndpoint === '') process.stderr.write(noCollector);
  return 0;
}

const noCollector = `tracecar install: no collector, so sidecars export no spans; --viewer or --otlp-endpoint URL
names one for all, the annotation tracecar.dev/otlp-endpoint for a namespace or pod
`;

/** Prints what is to be deleted. Throws UsageError. */
export async function runUninstall(args: readonly string[]): Promise<number> {
  readFlags(uninstallFlags, args, process.env);
  await print(printYamlDocuments(removals(tracecarVersion())));
  process.stderr.write(labelsLeft);
  return 0;
}

/** Namespaces are their owners': deleting what is printed touches none but our own. */
const labelsLeft = `tracecar uninstall: namespaces keep the label ${injectKey}; once the injector is gone this removes it:
  kubectl label namespace -l ${injectKey} ${injectKey}-
`;

/** The program ends when we return: a pipe must have taken all of it by then. */
function print(text: string): Promise<void> {
  return new Promise((resolve) => process.stdout.write(text, () => resolve()));
}
