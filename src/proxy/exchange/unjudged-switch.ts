/**
 * Unjudged switch: takes the offer to speak another protocol out of a request, where policies look at
 * requests.
 *
 * After 101 nobody reads what follows: each stream of HTTP/2 (`Upgrade: h2c`) would be a request that no
 * policy has seen. A server may ignore the offer, so its sender loses nothing but the switch (RFC 9110
 * section 7.8). A WebSocket alone may be offered: it is judged when it begins and holds no requests.
 */

import { FieldId } from '../../wire/http1/field-id.ts';
import type { MessageHead } from '../../wire/http1/message-head.ts';
import { upgradeTokens } from '../../wire/http1/upgrade-tokens.ts';

/** Leaves a head that offers nothing, or a WebSocket and nothing beside it, as it is. */
export function withholdSwitch(head: MessageHead): void {
  if (head.indexOf(FieldId.Upgrade) < 0) return;
  if (head.hasUpgrade && upgradeTokens(head).every((each) => each === 'websocket')) return;
  head.hasUpgrade = false;
  head.drop('upgrade');
  head.drop('http2-settings');
  // It names the two; whether the connection goes on is said again by whoever prints the head.
  head.drop('connection');
}
