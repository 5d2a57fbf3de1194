import type { AbstractHttpAdapter } from '@nestjs/core';
import type { IncomingHttpHeaders } from 'node:http';

/** What Express and Fastify have in common. */
interface HttpRequest {
  headers: IncomingHttpHeaders;
  /** As set by whatever authenticated the request. */
  user?: unknown;
  ip?: string;
}

/** A request as the pages see it. */
export interface DashboardRequest {
  method: string;
  /** As received: a proxy may have stripped a prefix. */
  path: string;
  query: URLSearchParams;
  headers: IncomingHttpHeaders;
  ip?: string;
  /** The user, as named by whatever authenticated the request. */
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

/** The properties in which authentication libraries name users. */
function nameOf(user: unknown): string | undefined {
  const known = (user ?? {}) as Record<string, unknown>;
  return [user, ...NAMES.map((name) => known[name])].find(isName)?.toString();
}

function isName(value: unknown): value is string | number {
  return (typeof value === 'string' && value !== '') || typeof value === 'number';
}
