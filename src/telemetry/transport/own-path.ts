/**
 * Connections of the exporters by the sidecar's own outbound path: agents for `node:http` and
 * `node:https` that ask the hot thread before they dial.
 *
 *   exporter ─► agent ─► "how to NAME, ADDRESS, PORT?" ─► hot thread ─┬─ direct: dialled as ever
 *                                                                     ├─ through: its socket is dialled
 *                                                                     └─ denied: an error that says why
 *
 * TLS stays here: what goes through the hot thread is what an application would have sent.
 */

import { lookup } from 'node:dns';
import { readFileSync } from 'node:fs';
import { Agent, type ClientRequestArgs } from 'node:http';
import type { AgentOptions as SecureOptions } from 'node:https';
import { connect, isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { describePlainly } from '../../base/peer-certificate.ts';
import type { OtlpSettings, Signal } from '../settings/otlp-settings.ts';
import { DeniedDial, type OwnAnswer, type OwnDial } from './own-dial.ts';

type Dialled = (error: Error | null, stream?: Duplex) => void;
/** What the agents are given to dial; `socket`: what TLS is to be spoken over. */
type DialOptions = ClientRequestArgs & { readonly socket?: Socket };

export class OwnPath {
  readonly #ask: (id: number, to: OwnDial) => void;
  readonly #waiting = new Map<number, (answer: OwnAnswer) => void>();
  readonly #agents: Agent[] = [];
  #lastId = 0;

  /** `ask`: the answer comes to `answered` with the same id. */
  constructor(ask: (id: number, to: OwnDial) => void) {
    this.#ask = ask;
  }

  answered(id: number, answer: OwnAnswer): void {
    const take = this.#waiting.get(id);
    this.#waiting.delete(id);
    take?.(answer);
  }

  /** The routes may be others: connections that are idle are not used again. */
  redial(): void {
    for (const { freeSockets } of this.#agents) {
      for (const sockets of Object.values(freeSockets)) {
        for (const socket of sockets ?? []) socket.destroy();
      }
    }
  }

  /** As the SDK's exporters take it. Rejects when a certificate's file cannot be read. */
  async agentFor({ url, certificates }: OtlpSettings, signal: Signal): Promise<Agent> {
    const isTls = new URL(url).protocol === 'https:';
    const agent = isTls
      ? await this.#secureAgent(readCertificates(certificates, signal))
      : this.#plainAgent();
    this.#agents.push(agent);
    return agent;
  }

  #plainAgent(): Agent {
    const path = this;
    return new (class extends Agent {
      override createConnection(options: DialOptions, done: Dialled): undefined {
        path.#dial(options, false, done, (rest) => rest.socket ?? super.createConnection(rest));
      }
    })({ keepAlive: true });
  }

  /** Most have no TLS, and it takes 1.4 MiB (2026-11-26). */
  async #secureAgent(certificates: SecureOptions): Promise<Agent> {
    const path = this;
    const https = await import('node:https');
    return new (class extends https.Agent {
      override createConnection(options: DialOptions, done: Dialled): undefined {
        path.#dial(options, true, done, (rest) => describePlainly(super.createConnection(rest)));
      }
    })({ keepAlive: true, ...certificates });
  }

  /** `open`: dials as ever, or speaks over `socket` where there is one. */
  #dial(
    options: DialOptions,
    isTls: boolean,
    done: Dialled,
    open: (options: DialOptions) => Duplex | null | undefined,
  ): void {
    const hostname = (options.hostname ?? options.host ?? '').toLowerCase();
    const port = Number(options.port);
    const finish = (socket?: Socket): void => {
      const stream = open(socket === undefined ? options : { ...options, socket });
      if (stream) done(null, stream);
    };
    lookupFirst(hostname, (error, address) => {
      if (error !== null) {
        done(error);
        return;
      }
      const id = ++this.#lastId;
      this.#waiting.set(id, (answer) => {
        if (answer.way === 'direct') finish();
        else if (answer.way === 'through') finish(connect({ path: answer.path }));
        else done(new DeniedDial(answer.why));
      });
      this.#ask(id, { hostname, address, port, isTls });
    });
  }
}

function lookupFirst(hostname: string, done: (error: Error | null, address: string) => void): void {
  if (isIP(hostname) !== 0) done(null, hostname);
  else lookup(hostname, done);
}

/** The signal's own variable counts before the one for all. */
function readCertificates(files: OtlpSettings['certificates'], signal: Signal): SecureOptions {
  const read = (kind: string): { readonly text?: Buffer } => {
    const own = files[`OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_${kind}`];
    const file = own ?? files[`OTEL_EXPORTER_OTLP_${kind}`];
    return file === undefined ? {} : { text: readFileSync(file) };
  };
  const { text: ca } = read('CERTIFICATE');
  const { text: key } = read('CLIENT_KEY');
  const { text: cert } = read('CLIENT_CERTIFICATE');
  return { ...(ca && { ca }), ...(key && { key }), ...(cert && { cert }) };
}
