/**
 * A raw TCP upstream: records every byte that reaches it and answers as its script says.
 *
 * It parses nothing but where a request's head ends, so it can tell "nothing arrived" from
 * "something arrived" and send what no HTTP server would.
 */

import { createServer, type Server, type Socket } from 'node:net';
import { RawConnection } from './raw-connection.ts';

/** What an upstream does with one connection; called when it is accepted. */
export type OriginScript = (connection: RawConnection, index: number) => void | Promise<void>;

/** Beyond what a machine that stands still now and then needs: only a hang gets there. */
const GUARD_MS = 20_000;

export class RawOrigin {
  readonly connections: RawConnection[] = [];
  readonly #server: Server;
  #waiting: (() => void)[] = [];

  private constructor(script: OriginScript) {
    this.#server = createServer({ allowHalfOpen: true }, (socket: Socket) => {
      const connection = new RawConnection(socket);
      const index = this.connections.push(connection) - 1;
      for (const resolve of this.#waiting.splice(0)) resolve();
      void this.#run(script, connection, index);
    });
  }

  static async start(script: OriginScript = () => undefined): Promise<RawOrigin> {
    const origin = new RawOrigin(script);
    await new Promise<void>((resolve) => origin.#server.listen(0, '127.0.0.1', resolve));
    return origin;
  }

  /** A script that waits for more from a peer that has finished is over, not wrong. */
  async #run(script: OriginScript, connection: RawConnection, index: number): Promise<void> {
    try {
      await script(connection, index);
    } catch (error) {
      if (connection.ending === 'open' && !connection.isClosed) throw error;
    }
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** All bytes that ever arrived, connection by connection. */
  get received(): string {
    return this.connections.map((connection) => connection.received).join('');
  }

  /** The connection with that index (from 0), as soon as there is one. */
  async connection(index: number): Promise<RawConnection> {
    const guard = Date.now() + GUARD_MS;
    while (this.connections.length <= index) {
      if (Date.now() > guard) throw new Error(`waited for upstream connection ${index}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 100);
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
    return this.connections[index]!;
  }

  async close(): Promise<void> {
    for (const connection of this.connections) connection.socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

/** Answers each request (whose head it waits for) with `answer(number of the request, from 1)`. */
export function answering(answer: (request: number) => string): OriginScript {
  return async (connection) => {
    let heads = 0;
    for (;;) {
      heads++;
      const wanted = heads;
      try {
        await connection.until(() => countHeads(connection) >= wanted || connection.isClosed, '');
      } catch {
        return;
      }
      if (connection.isClosed) return;
      await connection.send(answer(heads));
    }
  };
}

function countHeads(connection: RawConnection): number {
  return connection.received.split('\r\n\r\n').length - 1;
}

/** A whole response with that body. */
export function okWith(body: string, fields = ''): string {
  return `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n${fields}\r\n${body}`;
}
