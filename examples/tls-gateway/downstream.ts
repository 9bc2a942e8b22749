/**
 * A caller from outside: one connection a call, and in words what it saw.
 */

import { readFileSync } from 'node:fs';
import { type ClientRequest, request as plainRequest } from 'node:http';
import { Agent, type AgentOptions, request } from 'node:https';
import { join } from 'node:path';
import { connect, type SecureVersion, type TLSSocket } from 'node:tls';

export interface Ask {
  /** Asked for in the ClientHello, and as Host unless `host` says another. */
  readonly name: string;
  readonly host?: string;
  readonly path: string;
  readonly isPlain?: boolean;
  readonly sigalgs?: string;
  readonly maxVersion?: SecureVersion;
  /** Folder of a certificate to show. */
  readonly identity?: string;
  /** For people. */
  readonly note?: string;
}

/** OpenSSL's words for an alert of the gateway's: `tlsv13 alert certificate required`. */
const alert = /:(?:tlsv?[\d.]+|sslv3) (?:alert )?([a-z ]+):/;

export class Downstream {
  readonly #ports: { readonly http: number; readonly https: number };
  readonly #root: string;

  constructor(ports: { readonly http: number; readonly https: number }, root: string) {
    this.#ports = ports;
    this.#root = root;
  }

  /** What it saw: `200 body  [served by ...]`, or why there was no answer. */
  async say(ask: Ask): Promise<string> {
    const { name, host = name, path, isPlain = false } = ask;
    const to = { host: '127.0.0.1', path, agent: false as const };
    if (isPlain) {
      const headers = { host: `${host}:${this.#ports.http}` };
      return this.#answerOf(plainRequest({ ...to, port: this.#ports.http, headers }), undefined);
    }
    const headers = { host };
    const tls = { ...this.#terms(ask), port: this.#ports.https, headers };
    return this.#answerOf(request({ ...to, ...tls }), name);
  }

  /** Opens a connection and asks once; what is given back asks once more on it. */
  async keep(name: string): Promise<() => Promise<string>> {
    const agent = new Agent({
      keepAlive: true,
      maxSockets: 1,
      ...this.#terms({ name, path: '/' }),
    });
    const port = this.#ports.https;
    const to = { host: '127.0.0.1', port, path: '/', agent, headers: { host: name } };
    await this.#answerOf(request(to), undefined);
    return async () => {
      const sent = request(to);
      const answer = await this.#answerOf(sent, undefined);
      const isSame = sent.reusedSocket;
      agent.destroy();
      return isSame ? answer : `${answer}, on a new connection`;
    };
  }

  /** Of the certificate that is served for `name`. */
  serialOf(name: string): Promise<string> {
    return new Promise((settle, reject) => {
      const to = {
        host: '127.0.0.1',
        port: this.#ports.https,
        ...this.#terms({ name, path: '/' }),
      };
      const socket = connect(to, () => {
        settle(socket.getPeerCertificate().serialNumber);
        socket.destroy();
      });
      socket.on('error', reject);
    });
  }

  #terms({ name, sigalgs, maxVersion, identity }: Ask): AgentOptions {
    const read = (file: string) => readFileSync(join(identity!, file));
    return {
      servername: name,
      ca: this.#root,
      ...(sigalgs === undefined ? {} : { sigalgs }),
      ...(maxVersion === undefined ? {} : { maxVersion }),
      ...(identity === undefined ? {} : { cert: read('tls.crt'), key: read('tls.key') }),
    };
  }

  #answerOf(sent: ClientRequest, name: string | undefined): Promise<string> {
    return new Promise((settle, reject) => {
      sent.on('error', (error: NodeJS.ErrnoException) => {
        const words = alert.exec(error.message)?.[1];
        if (words === undefined) reject(error);
        else settle(`refused: ${words}`);
      });
      sent.on('response', (response) => {
        const secure = response.socket as TLSSocket;
        const served = name === undefined ? '' : `  [${servedBy(secure)}]`;
        let body = '';
        response.setEncoding('utf8').on('data', (text: string) => {
          body += text;
        });
        response.on('end', () => {
          const { location, 'x-tracecar-cause': cause } = response.headers;
          const isHsts = response.headers['strict-transport-security'] !== undefined;
          const said = location ?? (cause === undefined ? body : String(cause));
          settle(`${response.statusCode} ${said}${isHsts ? ', HSTS' : ''}${served}`);
        });
        response.on('error', reject);
      });
      sent.end();
    });
  }
}

/** `shop.example.com, rsa, TLSv1.3`. */
function servedBy(secure: TLSSocket): string {
  const certificate = secure.getPeerX509Certificate();
  const name = /^CN=(.*)$/m.exec(certificate?.subject ?? '')?.[1];
  return `${name}, ${certificate?.publicKey.asymmetricKeyType}, ${secure.getProtocol()}`;
}
