import type { DashboardRequest } from './dashboard.request.js';

/**
 * A header that our script sends and no form of another site can send: such a request would need CORS first.
 */
const OWN_HEADER = 'x-materialized-views';

/**
 * Whether a request may perform its action. Browsers say where a request comes from (`Sec-Fetch-Site`), but only over HTTPS
 * and to localhost. Elsewhere `Origin` must not be another host, and our own header is required.
 */
export function isFromHere({ method, headers }: DashboardRequest): boolean {
  const site = headers['sec-fetch-site'];
  if (method === 'GET' || method === 'HEAD') {
    // A link from elsewhere may lead here; a script from elsewhere must not read, whatever CORS the application allows.
    return headers['sec-fetch-mode'] === 'navigate' || site === 'none' || isSame(site, headers);
  }
  return isSame(site, headers) && (site !== undefined || headers[OWN_HEADER] !== undefined);
}

function isSame(
  site: string | string[] | undefined,
  { origin, host }: DashboardRequest['headers'],
): boolean {
  return site === undefined ? isOwnOrigin(origin, host) : site === 'same-origin';
}

function isOwnOrigin(origin: string | undefined, host: string | undefined): boolean {
  return origin === undefined || (URL.canParse(origin) && new URL(origin).host === host);
}
