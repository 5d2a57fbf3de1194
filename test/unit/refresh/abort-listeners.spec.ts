import { getEventListeners } from 'node:events';
import { describe, expect, it } from '@jest/globals';
import { onAbort, pause } from '../../../lib/refresh/abort-listeners.js';

describe('onAbort', () => {
  it('adds one listener to a signal for any number of calls, and calls each once', () => {
    const controller = new AbortController();
    const called: number[] = [];
    const stops = Array.from({ length: 50 }, (_, i) =>
      onAbort(controller.signal, () => called.push(i)),
    );
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(1);
    stops.filter((_, i) => i % 2 === 0).forEach((stop) => stop());
    controller.abort();
    expect(called).toEqual(Array.from({ length: 25 }, (_, i) => 2 * i + 1));
  });

  it('treats the same function given twice as two', () => {
    const controller = new AbortController();
    let count = 0;
    const listener = (): void => void count++;
    const stop = onAbort(controller.signal, listener);
    onAbort(controller.signal, listener);
    stop();
    controller.abort();
    expect(count).toBe(1);
  });

  it('does nothing without a signal', () => {
    expect(() => onAbort(undefined, () => undefined)()).not.toThrow();
  });
});

describe('pause', () => {
  it('adds one listener to a signal for any number of waits, and ends them when it is aborted', async () => {
    const controller = new AbortController();
    const waits = Array.from({ length: 50 }, () => pause(3_600_000, controller.signal));
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(1);
    controller.abort(new Error('enough'));
    const ends = await Promise.allSettled(waits);
    expect(ends).toEqual(ends.map(() => ({ status: 'rejected', reason: new Error('enough') })));
  });

  it('resolves, and throws if the signal was already aborted', async () => {
    await pause(0);
    await expect(pause(0, AbortSignal.abort(new Error('before')))).rejects.toThrow('before');
  });
});
