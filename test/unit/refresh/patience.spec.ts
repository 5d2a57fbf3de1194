import { describe, expect, it } from '@jest/globals';
import { RefreshCancelledError, RefreshTimeoutError } from '../../../lib/errors/refresh.errors.js';
import { withPatience } from '../../../lib/refresh/patience.js';

const never = (): Promise<never> => new Promise(() => undefined);

describe('the timeout and signal of a caller', () => {
  it('returns the result of the work', async () => {
    const patience = { signal: new AbortController().signal, timeoutMs: 60_000 };
    await expect(withPatience('v', patience, () => Promise.resolve(7))).resolves.toBe(7);
    const failed = new Error('failed');
    await expect(withPatience('v', patience, () => Promise.reject(failed))).rejects.toBe(failed);
  });

  it('does not begin if the signal is already aborted', async () => {
    let isBegun = false;
    const work = (): Promise<void> => {
      isBegun = true;
      return Promise.resolve();
    };
    await expect(withPatience('v', { signal: AbortSignal.abort() }, work)).rejects.toThrow(
      RefreshCancelledError,
    );
    expect(isBegun).toBe(false);
  });

  it('ends with the signal, and reports its reason', async () => {
    const controller = new AbortController();
    const waiting = withPatience('v', { signal: controller.signal }, never);
    controller.abort('gone');
    await expect(waiting).rejects.toMatchObject({
      code: 'MV_REFRESH_CANCELLED',
      view: 'v',
      cause: 'gone',
    });
  });

  it('ends with the timeout', async () => {
    await expect(withPatience('v', { timeoutMs: 1 }, never)).rejects.toThrow(RefreshTimeoutError);
  });
});
