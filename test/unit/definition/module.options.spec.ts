import { describe, expect, it } from '@jest/globals';
import { resolveOptions } from '../../../lib/definition/module.options.js';

describe('resolveOptions', () => {
  it('fills in the defaults', () => {
    expect(resolveOptions({ scheduling: undefined })).toEqual({
      scheduling: true,
      poolSize: 2,
      lockTimeoutMs: 5_000,
      statementTimeoutMs: 3_600_000,
      sweepIntervalMs: 30_000,
      shutdownTimeoutMs: 10_000,
      syncTimeoutMs: 300_000,
      syncPolicy: {
        synchronize: true,
        onDrift: 'apply',
        onMissingTable: 'fail',
        unmanagedDependents: 'refuse',
        rebuildStrategy: 'side-by-side',
        prune: false,
      },
      application: undefined,
      stateSchema: 'materialized_views',
      wakeUp: 'poll',
      history: { maxAgeMs: 2_592_000_000, maxCount: 1_000 },
    });
  });

  it.each([
    [250, 250],
    ['250ms', 250],
    ['1.5s', 1_500],
    ['2m', 120_000],
    ['1d', 86_400_000],
  ] as const)('reads the duration %s', (lockTimeout, lockTimeoutMs) => {
    expect(resolveOptions({ lockTimeout })).toMatchObject({ lockTimeoutMs });
  });

  it.each<[string, unknown]>([
    ['lockTimeout', 0],
    ['lockTimeout', -1],
    ['lockTimeout', '5'],
    ['lockTimeout', 'soon'],
    ['lockTimeout', ''],
    ['lockTimeout', Number.NaN],
    ['sweepInterval', '30d'],
    ['shutdownTimeout', -1],
    ['poolSize', 1.5],
    ['poolSize', '2'],
    ['scheduling', 'yes'],
    ['stateSchema', ''],
    ['stateSchema', 'x'.repeat(64)],
    ['stateSchema', 7],
    ['application', ''],
    ['application', 7],
    ['lockTimeOut', 5],
    ['lockTimeout', 1n],
    ['toString', 1],
    ['synchronize', 'yes'],
    ['onDrift', 'ignore'],
    ['onMissingTable', true],
    ['unmanagedDependents', 'drop'],
    ['rebuildStrategy', 'swap'],
    ['prune', 1],
    ['wakeUp', 'listen'],
    ['wakeUp', true],
  ])('refuses %s %p', (name, value) => {
    expect(() => resolveOptions({ [name]: value })).toThrow(
      new RegExp(`expected \`${name}\` to be `),
    );
  });

  it.each<[string, string, unknown]>([
    ['history', 'an object', true],
    ['history', 'an object', null],
    ['history.maxAge', 'a duration', { maxAge: 0 }],
    ['history.maxAge', 'a duration', { maxAge: '40000d' }],
    ['history.maxCount', 'a whole number', { maxCount: 0 }],
    ['history.maxCount', 'a whole number', { maxCount: '5' }],
    [
      'history.days',
      'absent: the options are maxAge, maxCount, got an unknown option',
      { days: 3 },
    ],
  ])('refuses %s that is not %s', (path, expected, history) => {
    expect(() => resolveOptions({ history: history as never })).toThrow(
      `expected \`${path}\` to be ${expected}`,
    );
  });

  it('fills in missing limits of the history', () => {
    expect(resolveOptions({ history: { maxCount: 5, maxAge: undefined } }).history).toEqual({
      maxAgeMs: 2_592_000_000,
      maxCount: 5,
    });
    expect(resolveOptions({ history: { maxAge: '36500d' } }).history).toEqual({
      maxAgeMs: 3_153_600_000_000,
      maxCount: 1_000,
    });
  });

  it('only creates in production, and changes nothing if changes are not allowed', () => {
    const environment = process.env.NODE_ENV;
    process.env.NODE_ENV = 'production';
    try {
      expect(resolveOptions({}).syncPolicy).toMatchObject({
        synchronize: 'create',
        onDrift: 'continue',
      });
    } finally {
      process.env.NODE_ENV = environment;
    }
    expect(() => resolveOptions({ synchronize: 'verify', onDrift: 'apply' })).toThrow(
      /`onDrift` to be 'continue' or 'fail' unless `synchronize` is true/,
    );
  });

  it('accepts 0 for no statement timeout and for no grace period', () => {
    expect(resolveOptions({ statementTimeout: 0, shutdownTimeout: 0 })).toMatchObject({
      statementTimeoutMs: 0,
      shutdownTimeoutMs: 0,
    });
  });
});
