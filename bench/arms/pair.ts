/**
 * Two sidecars with mutual TLS between them, as arms: the outbound half of a caller and the inbound half
 * of a service, each a process of its own on the same core.
 *
 *   generator ──plain──► outbound ══ TLS 1.3, both certificates checked ══► inbound ──plain──► backend
 *
 * Rivals are the ordinary arms with TLS put into their own configuration, so that they cannot differ in
 * anything else. All have P-256 certificates of one authority, and check the identity of the other end.
 */

import type { Arm, ArmCommand, ArmPlace } from './arm.ts';
import { fillText, findRival, pathOf, readTemplate } from './find.ts';
import { type PairCertificates, pairCertificates, pairIdentity } from './pair-certificates.ts';
import { sampling, tracecarCommand, tracecarVariant } from './tracecar.ts';

const onePercent = 'one rule, two subsets 60/40, metrics on, 1 % of traces exported';

export const pairArms: readonly Arm[] = [
  tracecarPair('tracecar-pair', 'Tracecar pair', onePercent, 0.01),
  tracecarPair('tracecar-pair-aa', 'Tracecar pair, again', `the same: ${onePercent}`, 0.01),
  tracecarPair('tracecar-pair-100', 'Tracecar pair, 100 % exported', 'every span exported', 1),
  envoyPair('envoy-pair', 'Envoy pair', 'router only, --concurrency 1', 'rivals/envoy.yaml'),
  envoyPair(
    'envoy-pair-otel',
    'Envoy pair, 100 % exported',
    'the same with its OpenTelemetry tracer at 100 %',
    'rivals/envoy-otel.yaml',
  ),
  haproxyPair(),
];

/** The ordinary arm, whose backends are now one sidecar more. */
function tracecarPair(name: string, label: string, setting: string, ratio: number): Arm {
  const environment = sampling(ratio);
  const arm = tracecarVariant(name, label, `two sidecars, mutual TLS: ${setting}`);
  const prepare = (place: ArmPlace): ArmCommand => {
    const certificates = pairCertificates(place.directory);
    const half = (half: 'outbound' | 'inbound', yaml: string) =>
      tracecarCommand(
        {
          ...place,
          directory: certificates.folderOf(half),
          ...(half === 'inbound' ? noPorts : {}),
        },
        { yaml, environment, args: certificates.tracecarFlags(half) },
      );
    return {
      ...half('outbound', outboundYaml(readTemplate('arms/tracecar.yaml'))),
      also: [half('inbound', inboundYaml)],
    };
  };
  return { ...arm, prepare };
}

/** The system gives the inbound half its own: nobody asks it anything. */
const noPorts = { adminPort: 0, metricsPort: 0 };

/** Both subsets are the other sidecar, at two of its ports. */
export function outboundYaml(yaml: string): string {
  const [namespace, account] = pairIdentity.split('/ns/')[1]!.split('/sa/') as [string, string];
  const meshed = (version: string) =>
    `{version: ${version}, security.istio.io/tlsMode: istio}\n    serviceAccount: ${account}`;
  const changes: readonly (readonly [string, string])[] = [
    ['ports: {http: {{BACKEND}}}', 'ports: {http: {{PAIR}}}'],
    ['ports: {http: {{SECOND}}}', 'ports: {http: {{PAIR}}}'],
    ['labels: {version: v1}\n  - address', `labels: ${meshed('v1')}\n  - address`],
    ['labels: {version: v2}\n---', `labels: ${meshed('v2')}\n---`],
    [
      'metadata: {name: backend, namespace: bench}',
      `metadata: {name: backend, namespace: ${namespace}}`,
    ],
  ];
  return changes.reduce((text, [from, to]) => replaceFirst(text, from, to), yaml);
}

const inboundYaml = `apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: bench, namespace: bench}
spec:
  ingress:
  - port: {number: {{PAIR}}, protocol: HTTP, name: http-inbound}
    bind: 127.0.0.1
    captureMode: NONE
    defaultEndpoint: 127.0.0.1:{{BACKEND}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: bench}
spec:
  mtls: {mode: STRICT}
`;

function envoyPair(name: string, label: string, setting: string, template: string): Arm {
  const prepare = (place: ArmPlace): ArmCommand => {
    const certificates = pairCertificates(place.directory);
    const command = (half: 'outbound' | 'inbound', text: string): ArmCommand => ({
      command: pathOf('envoy'),
      args: [
        ...['-c', fillText(text, `${half}.yaml`, place), '--concurrency', '1'],
        ...['--disable-hot-restart', '-l', 'error'],
      ],
    });
    const yaml = readTemplate(template);
    return {
      ...command('outbound', envoyOutbound(yaml, certificates)),
      also: [command('inbound', envoyInbound(yaml, certificates))],
    };
  };
  return {
    name,
    label,
    setting: `two Envoys, mutual TLS 1.3: ${setting}`,
    find: () => findRival('envoy'),
    prepare,
  };
}

/** Exported for tests: TLS to the only upstream, which is the other half. */
export function envoyOutbound(yaml: string, certificates: PairCertificates): string {
  const cluster = '  - name: service\n    type: STATIC\n';
  const tls = envoyTls('Upstream', certificates, ['sni: localhost']);
  const socket = tls.map((line) => `    ${line}\n`).join('');
  const withTls = replaceFirst(yaml, cluster, cluster + socket);
  return replaceFirst(withTls, 'port_value: {{BACKEND}}', 'port_value: {{PAIR}}');
}

/** Exported for tests: the same Envoy at the other half's port, which asks for a certificate. */
export function envoyInbound(yaml: string, certificates: PairCertificates): string {
  const chain = '    - filters:\n';
  const tls = envoyTls('Downstream', certificates, ['require_client_certificate: true']);
  const [first, ...rest] = tls;
  const socket = `    - ${first}\n${rest.map((line) => `      ${line}\n`).join('')}`;
  const inbound = yaml
    .replace('traffic_direction: OUTBOUND', 'traffic_direction: INBOUND')
    .replace('port_value: {{PORT}}', 'port_value: {{PAIR}}');
  return replaceFirst(inbound, chain, `${socket}      filters:\n`);
}

function envoyTls(
  side: 'Upstream' | 'Downstream',
  { chain, key, roots, identity }: PairCertificates,
  more: readonly string[],
): readonly string[] {
  const type = `type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.${side}TlsContext`;
  const params = 'tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3';
  const name = `{san_type: URI, matcher: {exact: "${identity}"}}`;
  return [
    'transport_socket:',
    '  name: envoy.transport_sockets.tls',
    '  typed_config:',
    `    "@type": ${type}`,
    ...more.map((line) => `    ${line}`),
    '    common_tls_context:',
    `      tls_certificates: [{certificate_chain: {filename: ${chain}}, private_key: {filename: ${key}}}]`,
    `      tls_params: {${params}}`,
    `      validation_context: {trusted_ca: {filename: ${roots}}, match_typed_subject_alt_names: [${name}]}`,
  ];
}

/** It cannot compare URI names: it checks the chain on both ends, and a DNS name outbound. */
function haproxyPair(): Arm {
  const prepare = (place: ArmPlace): ArmCommand => {
    const { roots, both } = pairCertificates(place.directory);
    const text = readTemplate('rivals/haproxy.cfg');
    const common = `crt ${both} ca-file ${roots} verify required alpn http/1.1 ssl-min-ver TLSv1.3`;
    const outbound = replaceFirst(
      text,
      'server one 127.0.0.1:{{BACKEND}}',
      `server one 127.0.0.1:{{PAIR}} ssl ${common} sni str(localhost) verifyhost localhost`,
    );
    const inbound = replaceFirst(
      text,
      'bind 127.0.0.1:{{PORT}}',
      `bind 127.0.0.1:{{PAIR}} ssl ${common}`,
    );
    const command = (name: string, configuration: string): ArmCommand => ({
      command: pathOf('haproxy'),
      args: ['-db', '-f', fillText(configuration, name, place)],
    });
    return { ...command('outbound.cfg', outbound), also: [command('inbound.cfg', inbound)] };
  };
  return {
    name: 'haproxy-pair',
    label: 'HAProxy pair',
    setting: 'two HAProxies, mutual TLS 1.3: one thread each, http-reuse always, no log',
    find: () => findRival('haproxy'),
    prepare,
  };
}

function replaceFirst(text: string, from: string, to: string): string {
  if (!text.includes(from)) throw new Error(`a configuration has no "${from}"`);
  return text.replace(from, () => to);
}
