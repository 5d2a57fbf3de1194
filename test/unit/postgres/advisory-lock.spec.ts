import { describe, expect, it } from '@jest/globals';
import { refreshLockKey, syncLockKey } from '../../../lib/postgres/advisory-lock.js';

describe('lock keys', () => {
  /** A different value is a breaking change: in a rolling deployment, two releases could refresh at once. */
  it('never change', () => {
    expect(refreshLockKey({ schema: 'analytics', name: 'daily_revenue' })).toBe(
      '8118183080199123222',
    );
    expect(syncLockKey()).toBe('-6033877982448079788');
  });

  it('differ by schema and by name, and fit a bigint', () => {
    const keys = ['a', 'b'].flatMap((schema) =>
      ['a', 'b'].map((name) => refreshLockKey({ schema, name })),
    );
    expect(new Set([...keys, syncLockKey()]).size).toBe(5);
    keys.forEach((key) => expect(BigInt.asIntN(64, BigInt(key)).toString()).toBe(key));
  });
});
