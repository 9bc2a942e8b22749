/**
 * The commands for Kubernetes: what a person types to install and inject, and the two programs that
 * run in a cluster.
 *
 * Programs are imported when they are asked for; only their flags are known here.
 */

import { initFlags } from '../../injector/init/options.ts';
import { installFlags, uninstallFlags } from '../../injector/manifests/install-settings.ts';
import { injectFlags, uninjectFlags } from '../../injector/offline/settings.ts';
import { injectorFlags } from '../../injector/settings.ts';
import type { Command } from './command-table.ts';

const install: Command = {
  name: 'install',
  summary: 'print the manifests that bring Tracecar into a cluster',
  usage: '--image REF [--viewer] [--propagation node] [FLAGS] | kubectl apply -f -',
  about: `Prints namespace tracecar-system with the injector (Deployment, Service, its rights and its
webhook), the authority that gives sidecars their identity and, where asked for, the viewer.
Nothing is sent to a cluster: pipe it into kubectl.
Without --viewer and --otlp-endpoint sidecars export no spans.
Applying it twice changes nothing; with another image it updates. From then on a namespace that is
annotated \`tracecar.dev/inject: enabled\` gets sidecars into its new pods.`,
  flags: installFlags,
  examples: [
    {
      says: 'with a viewer, and whole traces from unchanged Node.js applications',
      line: 'tracecar install --image tracecar:1 --viewer --propagation node | kubectl apply -f -',
    },
    {
      says: 'spans to a collector that is there already',
      line: 'tracecar install --image tracecar:1 --otlp-endpoint http://jaeger.observability:4318',
    },
    {
      says: 'then, for each namespace',
      line: 'kubectl annotate namespace shop tracecar.dev/inject=enabled',
    },
  ],
  operands: [],
  run: async (args) => (await import('../../injector/manifests/main.ts')).runInstall(args),
};

const uninstall: Command = {
  name: 'uninstall',
  summary: 'print what kubectl is to delete',
  usage: '| kubectl delete --ignore-not-found -f -',
  about: `Prints the objects of an installation for kubectl to delete, the webhook first. Pods keep the
sidecars that they have until they are restarted. The label \`tracecar.dev/inject\` stays on
namespaces; the command that removes it is said on standard error.`,
  flags: uninstallFlags,
  examples: [
    { says: 'all of it', line: 'tracecar uninstall | kubectl delete --ignore-not-found -f -' },
  ],
  operands: [],
  run: async (args) => (await import('../../injector/manifests/main.ts')).runUninstall(args),
};

const inject: Command = {
  name: 'inject',
  summary: 'put sidecars into manifests, without a cluster',
  usage: '-f FILE|- --image REF [FLAGS]',
  about: `Reads Deployments, other workloads, pods and Lists, and prints them with the sidecar that the
webhook would add; everything else stays, but for white space and quotes.
Complaints go to standard error with file
and line; status 1 and no output when a document cannot be read or a pod is refused.`,
  flags: injectFlags,
  examples: [
    {
      says: 'what would run',
      line: 'tracecar inject -f deployment.yaml --image tracecar:1 | diff deployment.yaml -',
    },
    {
      says: 'in a pipe',
      line: 'kubectl get deploy -o yaml | tracecar inject -f - --image tracecar:1 | kubectl apply -f -',
    },
  ],
  operands: [],
  run: async (args) => (await import('../../injector/offline/main.ts')).runInject(args),
};

const uninject: Command = {
  name: 'uninject',
  summary: 'take sidecars out of manifests',
  usage: '-f FILE|-',
  about: 'Undoes `tracecar inject`: prints the documents without what it added.',
  flags: uninjectFlags,
  examples: [{ says: 'a file', line: 'tracecar uninject -f injected.yaml > deployment.yaml' }],
  operands: [],
  run: async (args) => (await import('../../injector/offline/main.ts')).runUninject(args),
};

const injector: Command = {
  name: 'injector',
  summary: 'run the admission webhook (in a cluster)',
  usage: '--image REF [FLAGS]',
  about: `Answers the API server: new pods of annotated namespaces get a sidecar, and the annotation
\`tracecar.dev/inject\` of a namespace is mirrored into the label that the API server selects by.
It makes its own certificate, stores it in a Secret and publishes the authority. \`tracecar install\`
prints the Deployment that runs it. Its own spans go where OTEL_EXPORTER_OTLP_ENDPOINT points.`,
  flags: injectorFlags,
  examples: [
    {
      says: 'as the Deployment runs it',
      line: 'tracecar injector --image tracecar:1 --propagation node',
    },
  ],
  operands: [],
  run: async (args) => (await import('../../injector/main.ts')).runInjector(args),
};

const init: Command = {
  name: 'init',
  summary: "write a pod's redirection rules (in a pod)",
  usage: '[--print|--check|--remove] [FLAGS]',
  about: `Writes one nft table that leads the pod's TCP connections through \`tracecar proxy --capture
redirect\`, for IPv4 and IPv6 at once, and ends. It needs NET_ADMIN and nothing else. Run again, it
replaces its own table and touches no other. --backend iptables writes the same rules with
iptables-restore and ip6tables-restore, into two chains of the table nat (its legacy programs need
NET_RAW too).`,
  flags: initFlags,
  examples: [
    { says: 'look, change nothing', line: 'tracecar init --print --skip-outbound-ports 5432' },
    {
      says: 'are the rules loaded that these flags ask for?',
      line: 'ip netns exec POD tracecar init --check --skip-outbound-ports 5432',
    },
  ],
  operands: [],
  run: async (args) => (await import('../../injector/init/main.ts')).runInit(args),
};

export const clusterCommands: readonly Command[] = [
  install,
  uninstall,
  inject,
  uninject,
  injector,
  init,
];
