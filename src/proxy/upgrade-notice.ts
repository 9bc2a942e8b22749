/**
 * Says once for each listener that WebSocket upgrades are not relayed yet, and counts them all.
 *
 * The request goes on without its `Upgrade`, as an ordinary one, which an intermediary may do
 * (RFC 9110, 7.8); to whom it happens it looks like a broken application. `h2c` is offered by clients
 * that are as content without it: nothing is said of that.
 */

import type { Listener } from '../model/routing-table.ts';
import { FieldId } from '../wire/http1/field-id.ts';
import type { MessageHead } from '../wire/http1/message-head.ts';
import type { ProxyScope } from './proxy-scope.ts';

/** More listeners than any table has; beyond it nothing more is said. */
const toldMax = 1_024;

export class UpgradeNotice {
  readonly #scope: ProxyScope;
  readonly #told = new Set<string>();

  constructor(scope: ProxyScope) {
    this.#scope = scope;
  }

  /** `head` asks for an upgrade; `port` is the one that the downstream meant. */
  note(listener: Listener, port: number, head: MessageHead): void {
    const index = head.indexOf(FieldId.Upgrade);
    if (index < 0 || !/(?:^|[\s,])websocket(?:$|[\s,/])/i.test(head.value(index))) return;
    this.#scope.counts.strippedUpgrades++;
    const { direction, name } = listener;
    const where = `${name} ${port}`;
    if (this.#told.has(where) || this.#told.size >= toldMax) return;
    this.#told.add(where);
    const key = `tracecar.dev/skip-${direction}-ports`;
    this.#scope.log(
      'warn',
      `listener ${name}: upgrade to websocket is not relayed yet: the request goes on as an ordinary one; where connections are captured, ${key}: "${port}" on the pod takes the port past the sidecar`,
    );
  }
}
