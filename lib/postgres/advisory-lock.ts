import { createHash } from 'node:crypto';
import { displayName, type QualifiedName } from './identifier.js';

/**
 * Prefix of every key. Two releases with different prefixes do not exclude each other during a
 * rolling deploy, so a change of it, or of the derivation below, is a breaking change.
 */
const KEY_PREFIX = 'nestjs-materialized-views:v1';

/**
 * The key under which at most one refresh of a view runs in the whole database: 64 bits of a
 * SHA-256, as decimal text for a cast to bigint. Computed here and not by `hashtext`, whose 32
 * bits collide (with try-locks a collision is a silently skipped refresh).
 */
export function refreshLockKey(view: QualifiedName): string {
  return lockKey(`refresh:${displayName(view)}`);
}

/** The key under which the library creates and changes objects, one process at a time. */
export function syncLockKey(): string {
  return lockKey('sync');
}

/** The key under which the change log is pruned and compacted, by one process at a time. */
export function changeLogLockKey(): string {
  return lockKey('change-log');
}

function lockKey(subject: string): string {
  return createHash('sha256')
    .update(`${KEY_PREFIX}:${subject}`)
    .digest()
    .readBigInt64BE(0)
    .toString();
}
