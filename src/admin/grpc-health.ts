/**
 * One question of the gRPC health protocol (grpc.health.v1.Health/Check), for gRPC probes.
 *
 * A request and an answer of a few bytes over HTTP/2 without TLS, as the kubelet asks it; no gRPC
 * library. Anything but SERVING is not healthy.
 */

import type { ClientHttp2Session } from 'node:http2';
import type { GrpcAction } from './probe-definition.ts';

const servingStatus = 1;
const answerBytesMax = 1_024;
const statusNames = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];

/** Rejects when there is no connection or no answer; `signal` ends it. */
export function askGrpcHealth(
  { port, service }: GrpcAction,
  address: string,
  signal: AbortSignal,
): Promise<{ status: number; text: string }> {
  const host = address.includes(':') ? `[${address}]` : address;
  const session = process.getBuiltinModule('node:http2').connect(`http://${host}:${port}`);
  const asked = new Promise<{ status: number; text: string }>((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    session.on('error', reject);
    session.on('close', () => reject(new Error('it closed the connection')));
    check(session, service).then(resolve, reject);
  });
  return asked.finally(() => session.destroy());
}

function check(session: ClientHttp2Session, service: string) {
  const stream = session.request({
    ':method': 'POST',
    ':path': '/grpc.health.v1.Health/Check',
    'content-type': 'application/grpc',
    te: 'trailers',
    'user-agent': 'kube-probe',
  });
  return new Promise<{ status: number; text: string }>((resolve, reject) => {
    let body = Buffer.alloc(0);
    let code = '';
    const takeCode = (headers: Record<string, unknown>) => {
      code = String(headers['grpc-status'] ?? code);
    };
    // An answer without a message has its code in the head (Trailers-Only).
    stream.on('response', takeCode);
    stream.on('trailers', takeCode);
    stream.on('error', reject);
    stream.on('data', (chunk: Buffer) => {
      if (body.length <= answerBytesMax) body = Buffer.concat([body, chunk]);
    });
    stream.on('end', () => resolve(judge(code, body)));
    stream.end(frameOf(service));
  });
}

/** Uncompressed, length, then HealthCheckRequest { string service = 1 }. */
function frameOf(service: string): Buffer {
  const name = Buffer.from(service);
  const field = name.length === 0 ? name : Buffer.concat([tag(name.length), name]);
  const frame = Buffer.alloc(5 + field.length);
  frame.writeUInt32BE(field.length, 1);
  field.copy(frame, 5);
  return frame;
}

/** Field 1 of wire type 2, and the length as a varint. */
function tag(length: number): Buffer {
  const bytes = [0x0a];
  let rest = length;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return Buffer.from([...bytes, rest]);
}

/** HealthCheckResponse { ServingStatus status = 1 }: absent is 0, UNKNOWN. */
function judge(code: string, body: Buffer): { status: number; text: string } {
  if (code !== '0') return { status: 503, text: `gRPC status ${code === '' ? 'missing' : code}` };
  const message = body.subarray(5);
  const serving = message[0] === 0x08 ? (message[1] ?? 0) : 0;
  const text = statusNames[serving] ?? String(serving);
  return { status: serving === servingStatus ? 200 : 503, text };
}
