import { describe, expect, it } from '@jest/globals';
import {
  aCount,
  checkOptions,
  listOf,
  objectOf,
  oneOf,
} from '../../../lib/definition/option-rules.js';
import { byLikeness, meantName } from '../../../lib/errors/near-names.js';
import { MaterializedViewsModule } from '../../../lib/index.js';

interface Sample {
  mode?: string;
  parts?: number[];
}

const sample = objectOf<Sample>({ mode: oneOf('side-by-side', true), parts: listOf(aCount(1)) });

const refusal = (options: unknown): string => {
  try {
    checkOptions('Sample.run', sample, options);
    return 'taken';
  } catch (error) {
    return (error as Error).message;
  }
};

describe('the rules for options', () => {
  it.each([
    null,
    undefined,
    'text',
    7,
    true,
    [],
    () => 1,
    Symbol('s'),
    new Map(),
    new Date(),
    Promise.resolve({}),
    new AbortController().signal,
  ])('refuse %p as options', (options) => {
    expect(refusal(options)).toMatch(/^Sample\.run: expected `options` to be an object, got /);
  });

  it.each([
    {},
    { mode: undefined },
    { unknown: undefined },
    Object.create(null),
    new (class {
      mode = 'side-by-side';
    })(),
  ])('accept %p', (options) => {
    expect(refusal(options)).toBe('taken');
  });

  it('name the path, what was expected and what was given', () => {
    expect(refusal({ parts: [1, , 2] })).toBe(
      'Sample.run: expected `parts[1]` to be a whole number from 1 on, got undefined.',
    );
    expect(refusal({ mode: 'sidebyside' })).toBe(
      "Sample.run: expected `mode` to be 'side-by-side' or true, got \"sidebyside\". Did you mean 'side-by-side'?",
    );
    expect(refusal({ part: [] })).toBe(
      'Sample.run: expected `part` to be absent: the options are mode, parts, got an unknown option. Did you mean `parts`?',
    );
    expect(refusal({ elsewhere: 1 })).not.toContain('Did you mean');
  });

  it('show no more of a value than fits in a line', () => {
    const huge = {
      mode: { deep: Array.from({ length: 500 }, (_, i) => ({ i })), x: '😀'.repeat(500) },
    };
    expect(refusal(huge).length).toBeLessThan(300);
    expect(refusal({ mode: '\ud83d'.repeat(500) })).not.toMatch(/\p{Surrogate}/u);
  });
});

describe('suggested names', () => {
  const known = ['lockTimeout', 'poolSize', 'on', 'prune'];

  it.each([
    ['lockTimeOut', 'lockTimeout'],
    ['lock_timeout', 'lockTimeout'],
    ['lockTimout', 'lockTimeout'],
    ['poolsize', 'poolSize'],
    ['ON', 'on'],
    ['purne', 'prune'],
    ['somethingElse', undefined],
    ['', undefined],
  ])('for %p are %p', (given, meant) => {
    expect(meantName(given, known)).toBe(meant);
  });

  it('have the nearest first', () => {
    expect(byLikeness('pruned', known)[0]).toBe('prune');
    expect(byLikeness('x'.repeat(100_000), known)).toHaveLength(4);
  });
});

describe('options that hurt', () => {
  it.each([101, 1_000, 2 ** 31, Infinity])('refuse a pool of %p connections', (poolSize) => {
    expect(() => MaterializedViewsModule.forRoot({ poolSize })).toThrow(
      /`poolSize` to be a whole number from 1 to 100/,
    );
  });

  it.each(['public', 'pg_catalog', 'pg_temp', 'pg_own', 'information_schema', 'a\0b', '\udc00a'])(
    'refuse the state schema %p',
    (stateSchema) => {
      expect(() => MaterializedViewsModule.forRoot({ stateSchema })).toThrow(
        /`stateSchema` to be a/,
      );
    },
  );

  it.each(['Public', 'PG_own', 'page', 'my schema'])(
    'accept the state schema %p',
    (stateSchema) => {
      expect(() => MaterializedViewsModule.forRoot({ stateSchema })).not.toThrow();
    },
  );
});
