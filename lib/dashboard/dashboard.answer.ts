import type { Html } from './html.js';

/** The answer to a request. */
export interface DashboardAnswer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

/**
 * Sent with every answer. There are no inline scripts or styles, so an injected one could not run.
 */
const SECURITY_HEADERS: Record<string, string> = {
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'X-Robots-Tag': 'noindex',
};

const NOT_KEPT = { 'Cache-Control': 'no-store' };

export function page(content: Html, status = 200): DashboardAnswer {
  return answer(status, 'text/html', content.text, NOT_KEPT);
}

export function json(content: unknown, status = 200): DashboardAnswer {
  return answer(status, 'application/json', JSON.stringify(content), NOT_KEPT);
}

/** Its name changes with its content. */
export function asset(type: string, content: string): DashboardAnswer {
  return answer(200, type, content, { 'Cache-Control': 'private, max-age=31536000, immutable' });
}

/** @param location relative to the page, so that it works behind a proxy that strips a prefix */
export function redirect(location: string, status: 302 | 303): DashboardAnswer {
  return answer(status, 'text/plain', '', { ...NOT_KEPT, Location: location });
}

export function unauthorized(challenge: string): DashboardAnswer {
  const headers = { ...NOT_KEPT, 'WWW-Authenticate': challenge };
  return answer(401, 'text/plain', 'A user name and a password are needed.', headers);
}

function answer(
  status: number,
  type: string,
  body: string,
  headers: Record<string, string>,
): DashboardAnswer {
  return {
    status,
    headers: { ...SECURITY_HEADERS, ...headers, 'Content-Type': `${type}; charset=utf-8` },
    body,
  };
}
