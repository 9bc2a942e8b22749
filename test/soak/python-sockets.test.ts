/**
 * Suites of Python behind a sidecar: TLS and event loops.
 */

import { compareModules } from '../peers/interception/python-behind.ts';

compareModules(import.meta.filename, [
  'test_asyncore',
  'test_asynchat',
  'test_ssl',
  'test_asyncio.test_streams',
  'test_asyncio.test_sock_lowlevel',
  'test_asyncio.test_server',
  'test_asyncio.test_sendfile',
  'test_asyncio.test_buffered_proto',
  'test_asyncio.test_ssl',
  'test_asyncio.test_events',
]);
