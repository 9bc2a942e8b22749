/**
 * Diagnostic codes: every complaint about configuration, with its stable number and severity.
 *
 * Numbers are never reused or moved: documentation, editors and pipelines refer to them. 10xx files
 * and YAML, 11xx the head of a resource, 12xx shape, 13xx single values, 14xx inside one resource,
 * 15xx between resources, 16xx where it runs. The message and the mend are written where the complaint is raised.
 */

import type { Severity } from '../../model/diagnostic.ts';

/** number, severity, what the code stands for */
const rows = {
  'file-unreadable': ['TC1001', 'error', 'A file or folder cannot be read.'],
  'file-too-big': ['TC1002', 'error', 'A file is over the size limit.'],
  'not-a-file': ['TC1003', 'error', 'A FIFO, socket or device stands where a file should be.'],
  'too-many-files': ['TC1004', 'error', 'A folder holds more files than the limit.'],
  'too-many-diagnostics': ['TC1005', 'error', 'There are more complaints than are shown.'],
  'file-empty': ['TC1006', 'warning', 'A file became empty: taken as being written.'],
  'no-files': ['TC1007', 'error', 'A folder holds no YAML file.'],
  'file-left-out': ['TC1008', 'warning', 'A JSON file in a folder is not read.'],
  'yaml-syntax': ['TC1010', 'error', 'The text is not YAML 1.2.'],
  'yaml-duplicate-key': ['TC1011', 'error', 'A mapping has the same key twice.'],
  'yaml-tag': ['TC1012', 'error', 'A tag is not one of the core schema.'],
  'yaml-aliases': ['TC1013', 'error', 'A document uses more aliases than the limit.'],
  'yaml-key': ['TC1014', 'error', 'A key is not plain text.'],
  'not-a-resource': ['TC1101', 'error', 'A document is not a resource.'],
  'kind-not-implemented': ['TC1102', 'error', 'A mesh resource of a kind that is not read yet.'],
  'kind-unknown': ['TC1103', 'error', 'No such kind.'],
  'version-unknown': ['TC1104', 'error', 'No such version of the API group.'],
  'kind-ignored': ['TC1105', 'warning', 'A resource that is nothing of the mesh is left alone.'],
  'field-unknown': ['TC1201', 'error', 'No such field.'],
  'field-not-implemented': ['TC1202', 'error', 'A field that Tracecar does not implement yet.'],
  'field-missing': ['TC1203', 'error', 'A field that must be there is not.'],
  'wrong-type': ['TC1204', 'error', 'A value has the wrong type.'],
  'value-unknown': ['TC1205', 'error', 'A value is not one of the allowed words.'],
  'value-not-implemented': ['TC1206', 'error', 'A value that Tracecar does not implement yet.'],
  'one-of': ['TC1207', 'error', 'Fields that exclude each other are both set, or none is.'],
  'list-empty': ['TC1208', 'error', 'A list must have an item.'],
  'bad-duration': ['TC1301', 'error', 'A duration is malformed or out of range.'],
  'bad-port': ['TC1302', 'error', 'A port number is malformed or out of range.'],
  'bad-name': ['TC1303', 'error', 'A name is not a DNS name.'],
  'bad-weight': ['TC1304', 'error', 'A weight is not a whole number from 0 to 2147483647.'],
  'weights-all-zero': ['TC1305', 'error', 'Every weight of a rule is 0.'],
  'bad-regex': ['TC1306', 'error', 'A regular expression is not RE2 syntax.'],
  'regex-not-linear': ['TC1307', 'error', 'A construct that cannot run in linear time.'],
  'regex-too-long': ['TC1308', 'error', 'A regular expression is too long.'],
  'bad-address': ['TC1309', 'error', 'Not an IP address where one is needed.'],
  'bad-header-name': ['TC1310', 'error', 'Not a header name.'],
  'header-protected': ['TC1311', 'error', 'A header that rules may not change.'],
  'bad-header-value': ['TC1312', 'error', 'Not a header value.'],
  'bad-text': ['TC1313', 'error', 'A text is empty or has characters that cannot occur.'],
  'bad-label': ['TC1314', 'error', 'Not a Kubernetes label.'],
  'match-never-holds': ['TC1315', 'warning', 'A condition that no request can meet.'],
  'protocol-not-implemented': ['TC1316', 'error', 'Only HTTP/1.1 is relayed for now.'],
  'bad-endpoint': ['TC1317', 'error', 'Not an address to forward to.'],
  'bad-egress-host': ['TC1318', 'error', 'Not NAMESPACE/HOST.'],
  'authority-port': ['TC1319', 'warning', 'Authorities are compared without a port.'],
  'weight-absent': ['TC1320', 'warning', 'A backend among several has no weight: it gets nothing.'],
  'bad-path': ['TC1321', 'error', 'Not the absolute path of a file.'],
  'protocol-opaque': ['TC1322', 'warning', 'HTTP/2 is relayed unread for now.'],
  'affinity-ignored': ['TC1323', 'warning', 'Callers are not tied to endpoints.'],
  'field-ignored': ['TC1324', 'warning', 'A field that has no effect here is left alone.'],
  'bad-percentage': ['TC1325', 'error', 'Not a number from 0 to 100.'],
  'bad-tag': ['TC1326', 'error', 'A custom tag that spans cannot carry.'],
  'bad-cipher': ['TC1331', 'error', 'A cipher suite that is unknown or never served.'],
  'bad-secret': ['TC1332', 'error', 'A Secret lacks a part, or is not base64.'],
  'policy-unsupported': [
    'TC1341',
    'error',
    'A policy that cannot be evaluated as written: everything that it selects is denied.',
  ],
  'bad-pattern': ['TC1342', 'error', 'A pattern that nothing can match.'],
  'duplicate-subset': ['TC1401', 'error', 'Two subsets have the same name.'],
  'duplicate-port': ['TC1402', 'error', 'Two ports have the same number or name.'],
  'same-match': ['TC1403', 'error', 'Two rules have the same match: the later never answers.'],
  'unreachable-rule': ['TC1404', 'warning', 'A rule stands after one that takes everything.'],
  'duplicate-host': ['TC1405', 'error', 'A list names the same host twice.'],
  'sni-not-covered': ['TC1406', 'error', 'A rule takes a name that its resource is not for.'],
  'duplicate-resource': ['TC1501', 'error', 'Two resources have the same kind and name.'],
  'unknown-host': ['TC1502', 'error', 'A rule leads to a host that nothing defines.'],
  'unknown-subset': ['TC1503', 'error', 'A rule names a subset that nothing defines.'],
  'unknown-port': ['TC1504', 'error', 'A service has no such port, or several to choose from.'],
  'host-routed-twice': ['TC1505', 'error', 'Two VirtualServices bind the same host.'],
  'host-ruled-twice': [
    'TC1506',
    'error',
    'Two DestinationRules of a namespace have the same host.',
  ],
  'host-defined-twice': ['TC1507', 'error', 'Two ServiceEntries define the same host.'],
  'listener-conflict': ['TC1508', 'error', 'Two listeners want the same address and port.'],
  'selects-nothing': ['TC1509', 'warning', 'Labels that no endpoint carries.'],
  'gateway-ignored': ['TC1510', 'warning', 'A VirtualService names a gateway nothing defines.'],
  'host-without-service': ['TC1511', 'warning', 'A DestinationRule for a host nothing defines.'],
  'sidecar-ambiguous': ['TC1512', 'error', 'Two Sidecars select the same workload.'],
  'no-sidecar': ['TC1513', 'warning', 'No Sidecar selects the workload: it has no listeners.'],
  'egress-unknown-host': ['TC1514', 'error', 'An egress listener names a host nothing defines.'],
  'listener-without-port': ['TC1515', 'error', 'A listener with a socket of its own has no port.'],
  'listener-loop': ['TC1516', 'error', 'A listener forwards to itself.'],
  'needs-capture': ['TC1517', 'error', 'Something that only works when connections are captured.'],
  'slice-without-service': ['TC1518', 'warning', 'An EndpointSlice for a Service not here.'],
  'service-without-endpoints': ['TC1519', 'warning', 'A Service without an EndpointSlice.'],
  'service-shadowed': ['TC1520', 'warning', 'A ServiceEntry defines the host of a Service.'],
  'destination-taken': ['TC1521', 'warning', 'Two services have the same address and port.'],
  'rule-without-address': ['TC1522', 'warning', 'A TCP rule for a host that has no address here.'],
  'telemetry-ambiguous': ['TC1523', 'error', 'Two Telemetry resources select the same workload.'],
  'peers-ambiguous': [
    'TC1524',
    'error',
    'Two PeerAuthentications say different things to the same workloads.',
  ],
  'gateway-host-taken': ['TC1531', 'error', 'Two servers of a TLS port have the same host.'],
  'host-not-at-gateway': ['TC1532', 'warning', 'A host that no server of its gateway serves.'],
  'gateway-protocols': ['TC1533', 'error', 'Servers of one port speak TLS and plain text.'],
  'certificate-hosts': ['TC1534', 'warning', 'A certificate has no name for a host of its server.'],
  'certificate-unread': ['TC1601', 'error', 'A listener never had the certificate that it needs.'],
  'strict-without-identity': ['TC1602', 'error', 'STRICT, and the sidecar has no identity.'],
} as const satisfies Readonly<Record<string, readonly [string, Severity, string]>>;

/** The short name of a complaint inside the code. */
export type ComplaintKind = keyof typeof rows;

export interface DiagnosticCode {
  readonly code: string;
  readonly severity: Severity;
  readonly summary: string;
}

/** The complaints by their short name, in the order of their numbers. */
export const diagnosticCodes: ReadonlyMap<ComplaintKind, DiagnosticCode> = new Map(
  (Object.keys(rows) as ComplaintKind[]).map((kind) => {
    const [code, severity, summary] = rows[kind];
    return [kind, Object.freeze({ code, severity, summary })];
  }),
);
