import { describe, expect, it } from '@jest/globals';
import type { UnmanagedDependents } from '../../../lib/definition/module.options.js';
import { MATERIALIZED, PLAIN } from '../../../lib/postgres/view-kind.js';
import { type ClosureInput, closeOverDependents } from '../../../lib/schema/rebuild-closure.js';
import { databaseState, declared, deployed } from '../../support/schema-fixtures.js';

const views = ['a', 'b', 'c', 'apart'].map((name) => declared(name));
const [a] = views;
const changed: ClosureInput['changed'] = [
  {
    name: { schema: 'public', name: 'a' },
    kind: MATERIALIZED,
    query: 'SELECT 1',
    definition: a,
    deployed: deployed('a'),
  },
];

function close(
  extra: ReturnType<typeof deployed>[],
  dependents: [string, string[]][],
  policy: UnmanagedDependents = 'refuse',
): string[] {
  const state = databaseState([...views.map((view) => deployed(view.name.name)), ...extra], {
    dependents: new Map(dependents),
  });
  const input = {
    changed,
    definitions: views,
    asTheyAre: new Map(),
    pruned: new Set<string>(),
  };
  return closeOverDependents({ ...input, state, policy }).map((member) => member.name.name);
}

describe('closeOverDependents', () => {
  it('takes everything that reads a changed view, directly or not, and nothing else', () => {
    expect(
      close(
        [],
        [
          ['public.a', ['public.b']],
          ['public.b', ['public.c']],
          ['public.apart', []],
        ],
      ),
    ).toEqual(['a', 'b', 'c']);
  });

  it('takes each view once, in a diamond too', () => {
    expect(
      close(
        [],
        [
          ['public.a', ['public.b', 'public.c']],
          ['public.b', ['public.apart']],
          ['public.c', ['public.apart']],
        ],
      ),
    ).toEqual(['a', 'b', 'c', 'apart']);
  });

  it('names what does not belong to the library', () => {
    const plain = deployed('plain', {}, { kind: PLAIN });
    const foreign = deployed('foreign');
    const dependents: [string, string[]][] = [
      ['public.a', ['public.plain']],
      ['public.plain', ['public.foreign', 'public.b']],
    ];
    expect(() => close([plain, foreign], dependents)).toThrow(
      /Cannot change "public\.a": view public\.plain, materialized view public\.foreign would have to be created again too, and the library did not create them/,
    );
    expect(() => close([plain, foreign], dependents, 'rebuild')).toThrow(
      /: materialized view public\.foreign would/,
    );
  });

  it('includes plain views if requested, but none with triggers or rules', () => {
    const dependents: [string, string[]][] = [
      ['public.a', ['public.plain']],
      ['public.plain', ['public.b']],
    ];
    const plain = deployed('plain', {}, { kind: PLAIN });
    expect(close([plain], dependents, 'rebuild')).toEqual(['a', 'plain', 'b']);
    const ruled = deployed('plain', { has_triggers_or_rules: true }, { kind: PLAIN });
    expect(() => close([ruled], dependents, 'rebuild')).toThrow(/view public\.plain/);
  });

  it('refuses a function that uses the type of a view', () => {
    const b = deployed('b', {}, { otherDependents: ['function public.f(public.b)'] });
    expect(() => close([b], [['public.a', ['public.b']]])).toThrow(
      /function public\.f\(public\.b\)/,
    );
  });
});
