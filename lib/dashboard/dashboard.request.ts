import type { AbstractHttpAdapter } from '@nestjs/core';
import type { IncomingHttpHeaders } from 'node:http';

/** What Express and Fastify have in common. */
interface HttpRequest {
  headers: IncomingHttpHeaders;
  /** As whoever authenticated the request has set it. */
  user?: unknown;
  ip?: string;
}

/** A request as the pages see it. */
export interface DashboardRequest {
  method: string;
  /** As it came in: a proxy may have taken something off its beginning. */
  path: string;
  query: URLSearchParams;
  headers: IncomingHttpHeaders;
  ip?: string;
  /** Who asks, as what authenticated the request has called them. */
  userName?: string;
}

export function readRequest(adapter: AbstractHttpAdapter, raw: unknown): DashboardRequest {
  const { headers, user, ip } = raw as HttpRequest;
  const method = adapter.getRequestMethod(raw) as string;
  const [path = '', query = ''] = splitAtQuery(adapter.getRequestUrl(raw) as string);
  return {
    method,
    path,
    query: new URLSearchParams(query),
    headers,
    ip,
    userName: nameOf(user),
  };
}

function splitAtQuery(url: string): string[] {
  const at = url.indexOf('?');
  return at === -1 ? [url] : [url.slice(0, at), url.slice(at + 1)];
}

const NAMES = ['username', 'email', 'name', 'sub', 'id'];

/** By what authentication libraries call users. */
function nameOf(user: unknown): string | undefined {
  const known = (user ?? {}) as Record<string, unknown>;
  return [user, ...NAMES.map((name) => known[name])].find(isName)?.toString();
}

function isName(value: unknown): value is string | number {
  return (typeof value === 'string' && value !== '') || typeof value === 'number';
}
