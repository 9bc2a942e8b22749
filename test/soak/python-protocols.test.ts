/**
 * Suites of Python behind a sidecar: HTTP, FTP and the protocols of mail and news.
 */

import { compareModules } from '../peers/interception/python-behind.ts';

compareModules(import.meta.filename, [
  'test_httplib',
  'test_httpservers',
  'test_urllib2_localnet',
  'test_xmlrpc',
  'test_docxmlrpc',
  'test_wsgiref',
  'test_ftplib',
  'test_smtplib',
  'test_smtpd',
  'test_poplib',
  'test_imaplib',
  'test_nntplib',
  'test_telnetlib',
]);
