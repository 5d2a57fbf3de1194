import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { FailureLog } from '../../../lib/refresh/failure-log.js';

const MINUTE_MS = 60_000;
const failure = (code: string): Error => new Error('failed', { cause: { code } });

describe('the log of failing ticks', () => {
  let said: unknown[];
  let log: FailureLog;

  beforeEach(() => {
    said = [];
    log = new FailureLog({
      ...console,
      error: (message) => void said.push(message),
      debug: () => undefined,
    });
  });

  afterEach(() => {
    jest.restoreAllMocks();
  });

  it('logs a failure once in ten minutes, and then how often it happened', () => {
    [0, 1, 5, 9.9].forEach((at) => log.failed('a', failure('22012'), `at ${at}`, at * MINUTE_MS));
    expect(said).toEqual(['at 0']);
    log.failed('a', failure('22012'), 'at 10', 10 * MINUTE_MS);
    log.failed('a', failure('22012'), 'at 11', 11 * MINUTE_MS);
    expect(said).toEqual(['at 0', 'at 10 (and 3 times since this was last logged)']);
  });

  it('logs another failure, and that of another view, at once', () => {
    log.failed('a', failure('22012'), 'first', 0);
    log.failed('a', failure('42P01'), 'other code', 1);
    log.failed('b', failure('42P01'), 'other view', 2);
    log.failed('b', 'no error at all', 'no code', 3);
    expect(said).toEqual(['first', 'other code', 'other view', 'no code']);
  });

  it('starts again after a success', () => {
    log.failed('a', failure('22012'), 'first', 0);
    log.failed('a', failure('22012'), 'again', 1);
    log.succeeded('a');
    log.failed('a', failure('22012'), 'after a success', 2);
    expect(said).toEqual(['first', 'after a success']);
  });
});
