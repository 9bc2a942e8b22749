/**
 * Every command that a person can type: help, completion and dispatch read this one table.
 *
 * A command that has not landed is absent, not a stub. Programs are imported when they are asked for,
 * so `tracecar --version` loads none of them and a sidecar parses no line of the viewer.
 */

import { checkFlags } from '../main/check-settings.ts';
import { explainFlags } from '../main/explain-settings.ts';
import type { Flag } from '../main/flags.ts';
import { proxyFlags } from '../main/proxy-settings.ts';
import { runFlags } from '../main/run-settings.ts';
import { validateFlags } from '../main/validate-settings.ts';
import { tracecarVersion } from '../main/version.ts';
import { viewFlags } from '../main/view-settings.ts';
import { caCommand } from './ca-command.ts';
import { clusterCommands } from './cluster-commands.ts';
import { printCompletion, shells } from './completion.ts';
import { printHelp } from './help.ts';

export interface Command {
  readonly name: string;
  /** One line without a full stop, in the list of commands. */
  readonly summary: string;
  /** What follows the command's name: `[FLAGS] PATH...`. */
  readonly usage: string;
  /** A paragraph or two, at most 90 columns. */
  readonly about: string;
  readonly flags: readonly Flag[];
  readonly examples: readonly Example[];
  /** Words that completion offers as operands; `files` offers paths. */
  readonly operands: readonly string[] | 'files';
  /** Runs it and gives the exit status: 0, 1 (it found something wrong) or 2 (could not start). */
  run(args: readonly string[]): Promise<number>;
}

export interface Example {
  readonly says: string;
  readonly line: string;
}

const proxy: Command = {
  name: 'proxy',
  summary: 'run a sidecar beside a service',
  usage: '--config PATH [--labels K=V,K=V] [--capture none|redirect] [FLAGS]',
  about: `Proxies the HTTP/1.1 traffic of one workload, as its Sidecar resource says: inbound from a port
of its own to the application, outbound from a local port to the services that a ServiceEntry
names, split by the weights of a VirtualService. Edited files are applied while it runs, and a
file with a mistake never replaces a good one (a host or subset that nobody defines makes its
rule answer 503 with the cause). SIGTERM finishes what is under way, SIGHUP reads
the files again. In a pod, --capture redirect takes the connections that \`tracecar init\` redirects,
and routes them by the same resources.

Spans go where OTEL_EXPORTER_OTLP_ENDPOINT points (default http://localhost:4318, where
\`tracecar view\` listens); OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG say how many
(default: 1 in 100, and always what the caller sampled). Traces with an error, a retry or a slow
request are kept beside those. docs/tracing-settings.md has every variable and flag.

With --identity it gets a certificate and speaks mutual TLS with the sidecars that configuration
names (docs/identity.md, docs/security.md); without, it speaks none and accepts none.`,
  flags: proxyFlags,
  examples: [
    {
      says: 'the sidecar of `web`, as in the demo',
      line: 'tracecar proxy --config examples/ab-rollout --labels app=web',
    },
    {
      says: 'every request traced, to the viewer on this machine',
      line: 'OTEL_TRACES_SAMPLER=always_on tracecar proxy --config mesh.yaml --labels app=web',
    },
    {
      says: 'with an identity, by the authority on this machine (`tracecar ca`)',
      line: 'tracecar proxy --config mesh --identity 127.0.0.1:15010 --token web.token --trust-bundle roots.pem',
    },
    { says: 'what it runs with', line: 'curl -s 127.0.0.1:15000/config' },
  ],
  operands: [],
  run: async (args) => (await import('../main/proxy.ts')).runProxy(args),
};

const run: Command = {
  name: 'run',
  summary: 'run a command with a sidecar, without Kubernetes',
  usage: '[--config PATH] [FLAGS] -- COMMAND...',
  about: `Starts COMMAND in a network namespace of its own, in which \`tracecar init\` has redirected its TCP
connections to a sidecar, and behaves like it: terminal, signals, exit status. Nothing needs to be
configured in COMMAND; with Node.js it gets the propagation preload. Without --config everything
goes where it was meant, and is recorded. With it, each ServiceEntry has \`addresses\`, which nobody
else need have and to which the names that COMMAND calls resolve; no Sidecar resource is needed.

It needs Linux and root, ip, nft, setpriv and flock. COMMAND runs as the user who called; as another
one: tracecar run -- setpriv --reuid 1000 --clear-groups node app.js. Its localhost is its own: to
be reached it listens on all addresses, and what listens on this machine is at 169.254.N.1. It has
IPv6 too where this machine forwards it already (net.ipv6.conf.all.forwarding) by a default route.
Of open files it gets input, output and errors; for others: tracecar run -- sh -c './web 3>file'.
The sidecar runs as user 1337, who must be able to read \`tracecar\` and what --config names. When
COMMAND has ended, what it sent is waited for until others have taken it, or took nothing for 10 s
(in all at most 60 s); Ctrl-C ends that at once.

Spans go where OTEL_EXPORTER_OTLP_ENDPOINT points, to this machine's loopback too (default
http://localhost:4318, where \`tracecar view\` listens).`,
  flags: runFlags,
  examples: [
    { says: 'a Node.js service, unchanged', line: 'sudo tracecar run -- node server.js' },
    {
      says: 'every request traced, weights of a rollout applied',
      line: 'sudo OTEL_TRACES_SAMPLER=always_on tracecar run --config mesh.yaml --labels app=web -- ./web',
    },
  ],
  operands: [],
  run: async (args) => (await import('../main/run.ts')).runCommand(args),
};

const validate: Command = {
  name: 'validate',
  summary: 'check configuration and name every mistake at once',
  usage: 'PATH... [--output text|json]',
  about: `Reads YAML files and folders as a sidecar would and prints each mistake with its file, line,
column, field and what to write instead. Status 1 when there is an error, 0 when there are at
most warnings.`,
  flags: validateFlags,
  examples: [
    { says: 'a folder', line: 'tracecar validate examples/ab-rollout' },
    { says: 'in CI', line: 'tracecar validate --output json deploy/mesh > diagnostics.json' },
  ],
  operands: 'files',
  run: async (args) => (await import('../main/validate.ts')).runValidate(args),
};

const check: Command = {
  name: 'check',
  summary: 'say who would break if only mutual TLS were taken',
  usage: '--strict [ADDR:PORT|FILE...] [--config PATH] [FLAGS]',
  about: `Asks running sidecars who has called them without mutual TLS since they started, and so would
be refused once a PeerAuthentication says STRICT. Without ADDR:PORT it asks the admin port of
this machine's sidecar; a FILE holds what \`curl ADMIN/plaintext-callers\` answered elsewhere.
With --config, resources as they are to be, only ports that are STRICT there count, and callers
have names; of a workload without such a port it says so, and whom STRICT would refuse.
Status 1 when somebody would be refused, 0 when nobody of those who were seen would.`,
  flags: checkFlags,
  examples: [
    { says: "this machine's sidecar", line: 'tracecar check --strict' },
    {
      says: 'in a pod',
      line: 'kubectl exec POD -c tracecar-proxy -- tracecar check --strict',
    },
    {
      says: 'several, with the configuration that is to be applied',
      line: 'tracecar check --strict --config deploy/mesh 127.0.0.1:15000 127.0.0.1:15100',
    },
  ],
  operands: 'files',
  run: async (args) => (await import('../main/check.ts')).runCheck(args),
};

const view: Command = {
  name: 'view',
  summary: 'receive traces, keep them, show them',
  usage: '[--trace ID] [FLAGS]',
  about: `Without --trace it is a trace receiver (OTLP over HTTP and gRPC) with a bounded store behind a
page and Jaeger's query API v3. With --trace it asks a running one for that trace and draws it as a
waterfall.`,
  flags: viewFlags,
  examples: [
    { says: 'a receiver for the sidecars of this machine', line: 'tracecar view' },
    {
      says: 'one trace as a waterfall',
      line: 'tracecar view --trace 4bf92f3577b34da6a3ce929d0e0e4736',
    },
    { says: 'traces that outlive it', line: 'tracecar view --store traces.db --store-bytes 2g' },
  ],
  operands: [],
  run: async (args) => (await import('../main/view.ts')).runView(args),
};

const explain: Command = {
  name: 'explain',
  summary: 'say why a trace went as it did, hop by hop',
  usage: '--trace ID [FLAGS]',
  about: `Asks a running viewer (or Jaeger) for a trace, draws its waterfall and says for each hop by which
rule of which file it was routed, to which endpoint, why it was tried again or denied, how it was
joined to the request that caused it, why it was sampled, and where its time went.`,
  flags: explainFlags,
  examples: [
    {
      says: 'a trace of the demo',
      line: 'tracecar explain --trace 4bf92f3577b34da6a3ce929d0e0e4736',
    },
    {
      says: 'the service and cause where its error began',
      line: `tracecar explain --trace 4bf92f3577b34da6a3ce929d0e0e4736 --json | jq '.spans[] | select(.isError)'`,
    },
  ],
  operands: [],
  run: async (args) => (await import('../main/explain.ts')).runExplain(args),
};

const version: Command = {
  name: 'version',
  summary: 'print the version',
  usage: '',
  about: 'Prints the version of tracecar and of the Node.js that runs it.',
  flags: [],
  examples: [],
  operands: [],
  run: async () => {
    process.stdout.write(`tracecar ${tracecarVersion()} (Node.js ${process.versions.node})\n`);
    return 0;
  },
};

const help: Command = {
  name: 'help',
  summary: 'explain a command',
  usage: '[COMMAND]',
  about: 'Explains one command, or lists them all.',
  flags: [],
  examples: [],
  operands: [
    'proxy',
    'run',
    'validate',
    'check',
    'view',
    'explain',
    'ca',
    ...clusterCommands.map(({ name }) => name),
    'version',
    'completion',
  ],
  run: async (args) => printHelp(commands, args[0]),
};

const completion: Command = {
  name: 'completion',
  summary: 'print a completion script for your shell',
  usage: shells.join('|'),
  about: 'Prints a script that completes commands, flags and files of tracecar in your shell.',
  flags: [],
  examples: [
    { says: 'bash, this session', line: 'source <(tracecar completion bash)' },
    { says: 'zsh, for good', line: `tracecar completion zsh > "\${fpath[1]}/_tracecar"` },
    {
      says: 'fish, for good',
      line: 'tracecar completion fish > ~/.config/fish/completions/tracecar.fish',
    },
  ],
  operands: shells,
  run: async (args) => printCompletion(commands, args[0]),
};

export const commands: readonly Command[] = [
  proxy,
  run,
  validate,
  check,
  view,
  explain,
  caCommand,
  ...clusterCommands,
  version,
  help,
  completion,
];
