import { describe, expect, it } from '@jest/globals';
import { ConnectionFailedError, RefreshTimeoutError } from '../../../lib/errors/refresh.errors.js';
import { type Silence, SessionLost } from '../../../lib/postgres/session.js';
import { retryDelayMs } from '../../../lib/refresh/retry-policy.js';

const lost = (silence?: Silence): ConnectionFailedError =>
  new ConnectionFailedError('lost', { cause: SessionLost.from(new Error('ended'), silence) });

describe('retryDelayMs', () => {
  it('takes any part of a wait that grows, for three attempts more', () => {
    expect([1, 2, 3, 4].map((attempt) => retryDelayMs(lost(), attempt, 0.5))).toEqual([
      250,
      1_000,
      4_000,
      undefined,
    ]);
  });

  it('tries another connection where one fell silent, and none where none can be opened', () => {
    expect(retryDelayMs(lost('on_connection'), 1, 1)).toBe(500);
    expect(retryDelayMs(lost('on_connect'), 1, 1)).toBeUndefined();
  });

  it('does not try again what took too long', () => {
    expect(retryDelayMs(new RefreshTimeoutError('long', {}), 1, 1)).toBeUndefined();
  });
});
