/**
 * What a SERVER record says of the connection that its request has come by.
 */

import { type ExchangeRecord, RecordFlag } from '../../telemetry/record/exchange-record.ts';
import type { TlsFacts } from '../tls/tls-server.ts';
import type { DownstreamConnection } from './downstream-connection.ts';

export function describeDownstream(record: ExchangeRecord, downstream: DownstreamConnection): void {
  record.connectionId = downstream.id;
  record.connectionRequests = downstream.requests;
  if (downstream.requests > 1) record.flags |= RecordFlag.ConnectionReused;
  if (downstream.isSecure) record.flags |= RecordFlag.Tls;
  if (downstream.meshPeer !== undefined) record.principalId = downstream.meshPeer.nameId;
  if (downstream.tls !== undefined) setTls(record, downstream.tls, downstream.requests === 1);
  record.peerAddress = downstream.peerAddress;
  record.peerPort = downstream.peerPort;
}

function setTls(record: ExchangeRecord, { version, handshakeUs }: TlsFacts, isFirst: boolean) {
  record.tlsVersion = version;
  if (isFirst) record.tlsUs = handshakeUs;
}

/**
 * `callbackPort`: what the request says of a sidecar that has sent it (`ExchangeRecord.callbackPort`). One
 * of the mesh is believed; whoever else says that it is one is told nothing.
 */
export function describeCaller(
  record: ExchangeRecord,
  callbackPort: number,
  downstream: DownstreamConnection,
): void {
  const isMeshed = callbackPort !== 0 && downstream.isPeer;
  record.callbackPort = isMeshed ? callbackPort : 0;
  if (isMeshed) record.flags |= RecordFlag.PeerMeshed;
}
