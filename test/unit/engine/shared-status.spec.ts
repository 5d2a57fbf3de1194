import { describe, expect, it } from '@jest/globals';
import { SharedStatus } from '../../../lib/engine/shared-status.js';
import { StatusError } from '../../../lib/index.js';
import type { ViewStatus } from '../../../lib/status/view-status.js';

const HOUR_MS = 3_600_000;
const someStatus = (view: string): ViewStatus[] => [{ view } as ViewStatus];

/** Readings of the status that end when the test says so. */
class Readings {
  readonly begun: PromiseWithResolvers<ViewStatus[]>[] = [];
  readonly timeouts: number[] = [];
  readonly shared = new SharedStatus('default', (timeoutMs) => {
    this.timeouts.push(timeoutMs);
    const reading = withResolvers<ViewStatus[]>();
    this.begun.push(reading);
    return reading.promise;
  });

  end(index: number, statuses: ViewStatus[]): void {
    this.begun[index]?.resolve(statuses);
  }

  fail(index: number): void {
    this.begun[index]?.reject(new Error('no connection'));
  }
}

interface PromiseWithResolvers<T> {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (error: Error) => void;
}

function withResolvers<T>(): PromiseWithResolvers<T> {
  const parts: Partial<PromiseWithResolvers<T>> = {};
  parts.promise = new Promise<T>((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts as PromiseWithResolvers<T>;
}

describe('the shared reading of status', () => {
  it('is shared by all callers while it is running', async () => {
    const readings = new Readings();
    const asked = Array.from({ length: 50 }, () => readings.shared.statusAll(0, 1_000));
    readings.end(0, someStatus('a'));
    expect(new Set(await Promise.all(asked)).size).toBe(1);
    expect(readings.begun).toHaveLength(1);
  });

  it('is cached as long as a caller allows', async () => {
    const readings = new Readings();
    const first = readings.shared.statusAll(HOUR_MS, 1_000);
    readings.end(0, someStatus('a'));
    expect(await readings.shared.statusAll(HOUR_MS, 1_000)).toBe(await first);
    expect(await readings.shared.statusAll(HOUR_MS, 1_000)).toBe(await first);
    const strict = readings.shared.statusAll(-1, 1_000);
    readings.end(1, someStatus('b'));
    expect(await strict).toEqual(someStatus('b'));
  });

  it('goes on if its first caller stops waiting and others wait for it', async () => {
    const readings = new Readings();
    const impatient = readings.shared.statusAll(HOUR_MS, 1);
    const patient = readings.shared.statusAll(HOUR_MS, 10_000);
    await expect(impatient).rejects.toThrow(StatusError);
    readings.end(0, someStatus('a'));
    expect(await patient).toEqual(someStatus('a'));
    expect(readings.timeouts).toEqual([5_000]);
  });

  it('is tried again after a failure', async () => {
    const readings = new Readings();
    const failed = readings.shared.statusAll(HOUR_MS, 1_000);
    readings.fail(0);
    await expect(failed).rejects.toThrow(
      'Could not read the status of the views of data source "default"',
    );
    const next = readings.shared.statusAll(HOUR_MS, 1_000);
    readings.end(1, someStatus('a'));
    expect(await next).toEqual(someStatus('a'));
  });
});
