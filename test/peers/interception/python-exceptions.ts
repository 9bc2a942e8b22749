/**
 * Tests of Python's suites that cannot pass behind a sidecar, each with the reason. May only shrink: a
 * test that passes must leave the list, unless chance decides it.
 */

/** What redirection to a program changes for applications; docs/kubernetes.md says the same. */
const reasons = Object.freeze({
  peer: 'the server sees the address and port of its sidecar, not those of the client',
  accepted: 'a port that nobody listens on is accepted by the sidecar, then reset: not refused',
  urgent: 'the urgent byte of MSG_OOB does not cross a relay as urgent',
  buffered: 'the sidecar has taken what the client sent when the server goes',
  trace: 'the server sees tracestate beside the fields that were sent',
  length: 'a Content-Length of 2^53 or more is refused',
  overtaken: 'of bytes with a reset right behind them, the other side sees the one or the other',
});

export interface Exception {
  readonly why: (typeof reasons)[keyof typeof reasons];
  /** It depends on timing whether it fails. */
  readonly isByChance?: true;
}

/** By module and method: the suites repeat a method for each kind of event loop. */
export const exceptions: Readonly<Record<string, Exception>> = {
  'test_asyncio.test_sock_lowlevel test_sock_accept': { why: reasons.peer },
  'test_ssl test_server_accept': { why: reasons.peer },
  'test_asyncio.test_sock_lowlevel test_cancel_sock_accept': { why: reasons.accepted },
  'test_asyncio.test_sock_lowlevel test_sock_client_fail': { why: reasons.accepted },
  'test_asyncio.test_events test_server_close': { why: reasons.accepted },
  'test_asyncio.test_events test_create_connection_local_addr_skip_different_family': {
    why: reasons.accepted,
  },
  'test_asyncio.test_ssl test_connect_timeout_warning': { why: reasons.accepted },
  'test_ssl test_connect_ex_error': { why: reasons.accepted },
  'test_xmlrpc test_header': { why: reasons.trace },
  'test_xmlrpc test_header_empty': { why: reasons.trace },
  'test_xmlrpc test_header_items': { why: reasons.trace },
  'test_xmlrpc test_header_many': { why: reasons.trace },
  'test_xmlrpc test_header_tuple': { why: reasons.trace },
  'test_httplib test_large_content_length_truncated': { why: reasons.length },
  'test_asyncore test_handle_expt': { why: reasons.urgent },
  'test_asyncio.test_sendfile test_sendfile_close_peer_in_the_middle_of_receiving': {
    why: reasons.buffered,
    isByChance: true,
  },
  'test_ssl test_preauth_data_to_tls_server': { why: reasons.overtaken, isByChance: true },
  'test_ssl test_preauth_data_to_tls_client': { why: reasons.overtaken, isByChance: true },
};
