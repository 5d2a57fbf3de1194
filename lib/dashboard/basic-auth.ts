import { createHash, timingSafeEqual } from 'node:crypto';
import type { BasicAuthOptions } from './dashboard.options.js';

/** What a browser is asked with. */
export const CHALLENGE = 'Basic realm="Materialized views", charset="UTF-8"';

/** Whether an `Authorization` header has the user and the password. It takes as long whatever is wrong with it. */
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
