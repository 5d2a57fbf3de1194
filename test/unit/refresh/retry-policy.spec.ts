import { describe, expect, it } from '@jest/globals';
import {
  ConnectionFailedError,
  NotPrimaryError,
  RefreshCancelledError,
  RefreshError,
  RefreshLockError,
  RefreshTimeoutError,
  ServerResourcesError,
  ViewQueryError,
} from '../../../lib/errors/refresh.errors.js';
import { SessionLost } from '../../../lib/postgres/session-lost.js';
import { retryDelayMs } from '../../../lib/refresh/retry-policy.js';

const longest = (error: RefreshError): (number | undefined)[] =>
  [1, 2, 3, 4].map((attempt) => retryDelayMs(error, attempt, 1));

describe('the wait before a failed refresh is retried', () => {
  it.each([
    ['a lock', new RefreshLockError('x'), [500, 2_000, 8_000, undefined]],
    ['a lost connection', new ConnectionFailedError('x'), [500, 2_000, 8_000, undefined]],
    [
      'a server without connections',
      new ConnectionFailedError('x', { cause: { code: '53300' } }),
      [2_000, 8_000, 30_000, undefined],
    ],
    ['a full disk', new ServerResourcesError('x'), [8_000, undefined, undefined, undefined]],
    ['a standby', new NotPrimaryError('x'), Array(4).fill(undefined)],
    ['a broken query', new ViewQueryError('x'), Array(4).fill(undefined)],
    ['a timeout', new RefreshTimeoutError('x'), Array(4).fill(undefined)],
    ['a cancel', new RefreshCancelledError('x'), Array(4).fill(undefined)],
    ['anything else', new RefreshError('x'), Array(4).fill(undefined)],
  ])('%s', (_, error, expected) => {
    expect(longest(error)).toEqual(expected);
  });

  it('is any part of the longest wait', () => {
    const error = new RefreshLockError('x');
    expect(retryDelayMs(error, 2, 0)).toBe(0);
    expect(retryDelayMs(error, 2, 0.25)).toBe(500);
  });

  it('retries on another connection if one fell silent, and not at all if none can be opened', () => {
    const lost = (silence: 'on_connection' | 'on_connect'): ConnectionFailedError =>
      new ConnectionFailedError('x', { cause: SessionLost.from(new Error('ended'), silence) });
    expect(longest(lost('on_connection'))).toEqual([500, 2_000, 8_000, undefined]);
    expect(longest(lost('on_connect'))).toEqual(Array(4).fill(undefined));
  });
});
