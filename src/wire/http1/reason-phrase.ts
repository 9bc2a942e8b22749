/**
 * Reason phrases of the statuses that we answer ourselves (RFC 9110 section 15).
 *
 * Responses of upstreams keep their own phrase; this table is for local replies only.
 */

const phrases: Readonly<Record<number, string>> = {
  100: 'Continue',
  200: 'OK',
  301: 'Moved Permanently',
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  413: 'Content Too Large',
  414: 'URI Too Long',
  417: 'Expectation Failed',
  421: 'Misdirected Request',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
  508: 'Loop Detected',
};

/** The registered phrase, '' for a status that is never answered locally. */
export function reasonPhrase(status: number): string {
  return phrases[status] ?? '';
}
