/**
 * What was tried for a target that is missed or open, and what limits it: written by hand, by its id.
 *
 * The report prints a text only while its target is missed or open in the run that is drawn, so none can
 * outlive its cause unseen; a missed target of the published run without one fails a test. What the
 * run measured stands in the tables and never here; a figure of another measurement has its date.
 */

const tracer =
  'Records are encoded straight into OTLP and sent by a worker that shares the one core of the proxy here; ' +
  'what is left of a span is its encoding and its share of the HTTP request.';

const hopCpu =
  'Two thirds of what a request costs are the loopback TCP of the kernel, which every arm pays (perf, ' +
  '2026-11-25); what is left are reads and writes past the streams of Node.js, a head read, checked and ' +
  'printed, and what is on by default. The arm "bare Node.js" is a simple proxy on those streams and no ' +
  'lower bound for a proxy in this language.';

const latency =
  'The load, the backend and the collector share one core, so what disturbs that core stands in the high ' +
  'percentiles of all arms; rows where others or the hypervisor took it are dropped for latencies. A ' +
  'sending thread of real-time priority replaced a generator that dropped about half of the rows for its ' +
  'own lateness (2026-11-26); in the short legs of a full run a p99 rests on few requests.';

const memory =
  'More than half of what is resident are pages of the node binary, which all sidecars of a machine share. ' +
  'What the warm-up leaves in malloc is given back once; the compilers take it again under a long hard ' +
  'load. A small young generation and one malloc arena are set; a smaller one, fewer threads and other ' +
  'thresholds of malloc saved nothing (docs/decisions/start.md).';

const edit =
  'A changed configuration is checked and compiled on a thread of its own, which shares the one core of ' +
  'the proxy here; what changed in the table then goes to the hot thread (docs/decisions/edits.md).';

export const reasons: Readonly<Record<string, string>> = {
  'hop-cpu-envoy': hopCpu,
  'hop-cpu-haproxy': hopCpu,
  'traced-cpu-envoy': tracer,
  'tracing-hot': tracer,
  'tracing-both': tracer,
  'added-p50-single': latency,
  'added-p99-single': latency,
  'added-p50-many': latency,
  'added-p99-many': latency,
  'added-p50-more': latency,
  'added-p99-more': latency,
  'tracing-p99': latency,
  'dead-collector-p99': latency,
  'routes-p99':
    'The load and its core limit it as they do the latencies of the plain hop. Each request asks another ' +
    'of 1000 hosts, so processor caches hold less of the table than with one route: a probable cause of ' +
    'its CPU time, not profiled.',
  'edit-effect': edit,
  'edit-effect-many': edit,
  'memory-rss': memory,
  'memory-private': memory,
  'memory-idle-connection':
    'An idle downstream connection holds a socket of Node.js with its stream state and handle; what reads ' +
    'a head and carries an exchange is lent to it when bytes come.',
  'capture-first-byte':
    'A captured connection is accepted and dialled anew, each end a socket of Node.js with its stream state ' +
    'and handle, after the kernel was asked where it was going. The rules and the second connection are ' +
    'paid by HAProxy behind the same rules too: its row is what is left for the program to save. Tried ' +
    '(2026-11-26, same rounds): the dial goes out before the accepted socket is made and past the ' +
    'options of net.connect, one socket instead of two for each accept, the first write before the ' +
    'tunnel: 107 to 95 us, HAProxy 53. The time moved behind the dial more than it went: between ' +
    'connect() and the first read stand two sockets, their listeners and a turn of the loop, in code ' +
    'that a connection now and then finds cold.',
  'capture-throughput':
    'Both ends of the load share one core, and the faster a proxy is the sooner that core is the limit.',
  'system-calls':
    'A request needs six: the waits, reads and writes on both sides. Waits that bring nothing are no part of ' +
    'the figure: perf, which slows nothing down, counts about one more a request (2026-11-25), the look that ' +
    'libuv takes before it sleeps. What is above them are a refill of ' +
    "the buffer of random words every few hundred requests and futex calls, mostly jobs for V8's " +
    'compilers, which come now and then. These are not taken out: with one malloc arena a futex may also ' +
    'be a wait for the thread that exports. What goes on without requests (timers, the poll of the ' +
    'configuration) is subtracted.',
  'allocated-bytes':
    'The largest piece that is left grows with the heads, whose text becomes a string; those of the bench ' +
    'are longer (2026-11-25: by 130 bytes) than those that test/proxy/work-counters.test.ts counts.',
  start: 'Node.js itself starts first; the code cache and its limits: docs/decisions/start.md.',
  'first-requests':
    "The last jobs of V8's compilers, each of some milliseconds, share the one core with the hot thread; " +
    'most of them do not fit into the warm-up. Lower thresholds of the compilers, a low priority for their ' +
    'threads and a pause before ready brought nothing (docs/decisions/start.md).',
  'pair-envoy-pair':
    'Each half has two reads and two writes a request and no more (strace, 2026-11-26). What TLS adds is ' +
    'encryption, buffers that OpenSSL in Node.js frees and takes again for each record, and a turn of the ' +
    'loop that Node.js asks for after each write. Tried: writes to OpenSSL past the streams of Node.js ' +
    '(a fifth less of a round trip by itself, 2026-11-26), reads into one buffer where a socket is ' +
    'dialled, one write a message. The rest is two plain hops. Where all of it goes, and what was taken ' +
    'and tried since: docs/decisions/pair.md.',
};
