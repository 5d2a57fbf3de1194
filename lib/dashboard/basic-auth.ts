import { createHash, timingSafeEqual } from 'node:crypto';
import type { BasicAuthOptions } from './dashboard.options.js';

/** The challenge to the browser. */
export const CHALLENGE = 'Basic realm="Materialized views", charset="UTF-8"';

/** Whether an `Authorization` header has the user and the password. It takes the same time whatever is wrong. */
export function isAuthenticated(
  header: string | undefined,
  { username, password }: BasicAuthOptions,
): boolean {
  const [, credentials = ''] = /^Basic +([\w+/=-]+)$/i.exec(header ?? '') ?? [];
  const given = digest(Buffer.from(credentials, 'base64'));
  return timingSafeEqual(given, digest(Buffer.from(`${username}:${password}`)));
}

function digest(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest();
}
