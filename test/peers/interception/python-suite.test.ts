/**
 * Suites of Python behind a sidecar, those that take seconds; the longer ones run in test/soak.
 */

import { compareModules } from './python-behind.ts';

compareModules(import.meta.filename, [
  'test_httplib',
  'test_httpservers',
  'test_ftplib',
  'test_smtplib',
  'test_poplib',
  'test_imaplib',
  'test_asyncio.test_streams',
  'test_asyncio.test_sock_lowlevel',
]);
